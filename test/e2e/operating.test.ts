import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import { eventually } from "../support/command-processes.ts"
import type { Ended } from "../support/holdfast.ts"
import { alter, linesOf, numbers, place } from "../support/holdfast.ts"

/** What a command wrote on stdout, each line of it JSON. */
const json = ({ stdout }: Ended) => linesOf(stdout).map((line) => JSON.parse(line))

/** Succeeds for task 1, fails with exit code 9 for the others until there is a file `mended`. */
const command = ["--", "sh", "-c", "echo said {}; [ {} = 1 ] || [ -e mended ] || exit 9"]

/** A batch of three tasks of which two failed. */
const failed = Effect.gen(function*() {
  const at = yield* place
  at.write("in.txt", numbers(3))
  const args = ["batch", "in.txt", "--name", "b", "-c", "1", "--retries", "0", ...command]
  expect((yield* at.run(args)).exitCode).toBe(1)
  return { at, args }
})

describe("tasks list", () => {
  it.scopedLive("lists tasks in the order of their input, filtered and in pages, as a table or as JSON Lines", () =>
    Effect.gen(function*() {
      const { at } = yield* failed
      const list = (...args: ReadonlyArray<string>) => at.run(["tasks", "list", ...args])
      const all = yield* list()
      expect(linesOf(all.stdout).map((line) => line.trim().split(/\s+/).slice(0, 5))).toEqual([
        ["NO", "QUEUE", "ID", "STATUS", "ATTEMPT"],
        ["1", "b", "1", "completed", "1/1"],
        ["2", "b", "2", "dead", "1/1"],
        ["3", "b", "3", "dead", "1/1"]
      ])
      const ids = (...args: ReadonlyArray<string>) =>
        Effect.map(list("--json", ...args), (ended) => json(ended).map((task) => task.id))
      expect(yield* ids()).toEqual(["1", "2", "3"])
      expect(yield* ids("--status", "dead", "--queue", "b")).toEqual(["2", "3"])
      expect(yield* ids("--queue", "other")).toEqual([])
      expect(yield* ids("--limit", "2")).toEqual(["1", "2"])
      expect(yield* ids("--limit", "2", "--after", "2")).toEqual(["3"])
      expect(yield* ids("--since", "1h")).toEqual(["1", "2", "3"])
      expect(yield* ids("--since", "2200-01-01")).toEqual([])
      expect((yield* list("--limit", "2")).stderr).toBe("there may be more: add --after 2\n")
    }))
})

describe("tasks show", () => {
  it.scopedLive("shows the payload and what came of the last attempt", () =>
    Effect.gen(function*() {
      const { at } = yield* failed
      const show = (...args: ReadonlyArray<string>) => at.run(["tasks", "show", "--queue", "b", ...args])
      const shown = yield* show("3", "--json")
      const [task] = json(shown)
      expect(task).toMatchObject({ queue: "b", id: "3", status: "dead", payload: { index: 3, task: "3" } })
      expect(JSON.parse(task.outcome.error).result).toMatchObject({ exitCode: 9, stdout: "said 3\n" })
      expect(JSON.parse((yield* show("3")).stdout)).toEqual(task)
      const missing = yield* show("4")
      expect(missing).toMatchObject({ exitCode: 4, stdout: "", stderr: "holdfast: queue b has no task 4\n" })
    }))
})

describe("tasks retry", () => {
  const retry = ["tasks", "retry", "--queue", "b"]

  it.scopedLive("is queued while no node runs, and carried out by the next run", () =>
    Effect.gen(function*() {
      const { args, at } = yield* failed
      const queued = yield* at.run([...retry, "2"])
      expect(queued).toMatchObject({ exitCode: 0, stdout: "" })
      expect(queued.stderr).toBe("task 2: queued; no node runs now, the next one retries it\n")
      expect(json(yield* at.run([...retry, "3", "--json"]))).toEqual([{
        id: "3",
        queued: true,
        retried: null
      }])
      at.write("mended", "")
      const ended = yield* at.run(args)
      expect(ended).toMatchObject({ exitCode: 0 })
      expect(ended.stderr).toContain("3 ok, 0 failed, of 3 (continued behind 1)")
    }))

  it.scopedLive("is carried out at once by a node that runs, which tells the outcome", () =>
    Effect.gen(function*() {
      const { at } = yield* failed
      at.write("mended", "")
      at.write("more.txt", "x\n")
      const node = at.start(["batch", "more.txt", "--", "sh", "-c", "until [ -e over ]; do sleep 0.05; done"])
      yield* eventually(() => FileSystem.readdirSync(at.directory).some((name) => name.includes(".db.node-")))
      expect(yield* at.run([...retry, "2"])).toMatchObject({
        exitCode: 0,
        stderr: "task 2: 1 made ready again\n"
      })
      expect(json(yield* at.run([...retry, "--all", "--yes", "--json"]))).toEqual([
        { id: null, queued: false, retried: 1 }
      ])
      const [, , third] = json(yield* at.run(["tasks", "list", "--queue", "b", "--json"]))
      expect(third).toMatchObject({ id: "3", status: "ready", attempt: 0 })
      at.write("over", "")
      expect((yield* node.ended).exitCode).toBe(0)
    }))

  it.scopedLive("says what it would do with --dry-run, and does nothing", () =>
    Effect.gen(function*() {
      const { args, at } = yield* failed
      expect((yield* at.run([...retry, "--all", "--dry-run"])).stdout).toBe("2 tasks would be retried\n")
      expect(json(yield* at.run([...retry, "2", "--dry-run", "--json"]))).toEqual([{ wouldRetry: 1 }])
      expect((yield* at.run(args)).stderr).toContain("was already done")
    }))

  it.scopedLive("of what is not there, or has not been given up, is refused with exit code 4", () =>
    Effect.gen(function*() {
      const { at } = yield* failed
      const told = yield* Effect.forEach(
        [["4"], ["1"], ["2", "1"], ["--queue=c", "1"]],
        (args) =>
          at.run(["tasks", "retry", ...(args[0]?.startsWith("--") === true ? [] : ["--queue", "b"]), ...args])
      )
      expect(told.map(({ exitCode, stderr }) => `${exitCode} ${stderr}`)).toEqual([
        "4 holdfast: queue b has no task 4\n",
        "4 holdfast: task 1 is completed: only dead and skipped tasks can be retried\n",
        "4 holdfast: task 1 is completed: only dead and skipped tasks can be retried\n",
        "4 holdfast: there is no queue c\n"
      ])
    }))
})

describe("ps", () => {
  it.scopedLive("shows nodes that run, have died, or have left, and the queues", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(4))
      const script = "echo >> begun; until [ -e over ]; do sleep 0.05; done"
      const args = ["batch", "in.txt", "--name", "b", "-c", "2", "--", "sh", "-c", script]
      const running = at.start(args)
      yield* eventually(() => at.lines("begun").length === 2)
      const nodes = Effect.map(at.run(["ps", "--json"]), (ended) => json(ended)[0])
      expect(yield* nodes).toMatchObject({
        nodes: [{ status: "running", pid: running.pid }],
        queues: [{ name: "b", state: "open", ready: 2, running: 2, completed: 0, dead: 0, skipped: 0 }]
      })
      const table = linesOf((yield* at.run(["ps"])).stdout).map((line) => line.split(/\s+/))
      expect(table[1]?.slice(1, 3)).toEqual(["running", String(running.pid)])
      expect(table.at(-1)).toEqual(["b", "open", "2", "2", "0", "0", "0"])

      running.signal("SIGKILL")
      yield* running.ended
      expect(yield* nodes).toMatchObject({
        nodes: [{ status: "gone", pid: running.pid }],
        queues: [{ running: 2 }]
      })
      at.write("over", "")
      yield* at.run(args)
      expect(yield* nodes).toMatchObject({ nodes: [], queues: [{ running: 0, completed: 4 }] })
    }))
})

describe("db", () => {
  it.scopedLive("migrate makes a private database, and says when it is up to date", () =>
    Effect.gen(function*() {
      const at = yield* place
      const made = yield* at.run(["db", "migrate", "--json"])
      expect(json(made)).toEqual([{ db: "./holdfast.db", from: 0, to: 4 }])
      expect(FileSystem.statSync(at.file("holdfast.db")).mode & 0o777).toBe(0o600)
      const again = yield* at.run(["db", "migrate"])
      expect(again).toMatchObject({
        exitCode: 0,
        stdout: "",
        stderr: "./holdfast.db is at schema version 4 already\n"
      })
    }))

  it.scopedLive("check finds no problem in what a batch has left", () =>
    Effect.gen(function*() {
      const { at } = yield* failed
      const checked = yield* at.run(["db", "check", "--json"])
      expect(checked.exitCode).toBe(0)
      expect(json(checked)).toMatchObject([{ schemaVersion: 4, queues: 1, tasks: 3, problems: [] }])
      expect((yield* at.run(["db", "check"])).stdout).toContain("no problems found")
    }))

  it.scopedLive("check ends with exit code 1 and names a counter that is wrong", () =>
    Effect.gen(function*() {
      const { at } = yield* failed
      alter(at, "UPDATE queues SET completed = 7")
      const checked = yield* at.run(["db", "check", "--json"])
      expect(checked.exitCode).toBe(1)
      expect(json(checked)[0].problems).toEqual(["queue b counts 7 completed tasks and has 1"])
    }))

  it.scopedLive("adopt makes a copy usable that was refused, since both would do the same work", () =>
    Effect.gen(function*() {
      const { args, at } = yield* failed
      FileSystem.copyFileSync(at.file("holdfast.db"), at.file("copy.db"))
      const [name = "", ...rest] = args
      const copied = [name, "--db", "copy.db", ...rest]
      const refused = yield* at.run(copied)
      expect(refused.exitCode).toBe(3)
      expect(refused.stderr).toContain("is a copy of the store at")
      expect((yield* at.run(["db", "adopt", "--db", "copy.db"])).exitCode).toBe(0)
      expect((yield* at.run(copied)).stderr).toContain("was already done")
    }))
})

describe("a database that is not there", () => {
  it.scopedLive.each([
    "tasks list",
    "ps",
    "db check",
    "db adopt",
    "tasks retry -q b 1"
  ])("is not made by %s, which ends with exit code 4", (args) =>
    Effect.gen(function*() {
      const at = yield* place
      const ended = yield* at.run(args.split(" "))
      expect(ended).toMatchObject({ exitCode: 4, stdout: "" })
      expect(ended.stderr).toContain("there is no database at ./holdfast.db")
      expect(FileSystem.readdirSync(at.directory)).toEqual([])
    }))
})

it.scopedLive("a reader that stops reading ends the listing, not with an error", () =>
  Effect.gen(function*() {
    const at = yield* place
    at.write("in.txt", numbers(3_000))
    const batch = at.start(["batch", "in.txt", "--name", "b", "--", "sh", "-c", "echo >> begun; sleep 1000"])
    yield* eventually(() => at.read("begun") !== "")
    batch.signal("SIGKILL")
    yield* batch.ended
    const listed = yield* at.run(["tasks", "list", "--json", "--limit", "3000"], {
      wrap: (list) => ["sh", "-c", `"$@" | head -n 2; exit 0`, "sh", ...list]
    })
    expect(json(listed).map((task) => task.id)).toEqual(["1", "2"])
    expect(listed.stderr).toBe("")
    const { stdout } = yield* at.run(["tasks", "list", "--json", "--limit", "3000"])
    expect(linesOf(stdout)).toHaveLength(3_000)
  }))
