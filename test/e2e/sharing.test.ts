import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { eventually } from "../support/command-processes.ts"
import type { Place } from "../support/holdfast.ts"
import { linesOf, numbers, place, results, upTo } from "../support/holdfast.ts"
import { processState } from "../support/store-processes.ts"

/** Notes the holdfast that runs the task: the parent of the command host. */
const noteRunner = [
  "--",
  "sh",
  "-c",
  "read -r _ _ _ runner _ < /proc/$PPID/stat; echo {} $runner >> ran; sleep 0.02"
]

const runnersOf = (at: Place) => new Set(at.lines("ran").map((line) => line.split(" ")[1]))

const eachOnce = (at: Place, count: number, name?: string) => {
  expect(results(at, name).map(({ attempts, index, status }) => [index, status, attempts])).toEqual(
    upTo(count).map((index) => [index, "ok", 1])
  )
}

const ranOnce = (at: Place, count: number) => {
  const ran = at.lines("ran").map((line) => Number(line.split(" ")[0]))
  expect(ran.sort((a, b) => a - b)).toEqual(upTo(count))
}

describe("two processes with one batch", () => {
  it.scopedLive("share its tasks, each run once, and one of them writes their --out file", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(200))
      const args = [
        "batch",
        "in.txt",
        "-c",
        "2",
        "--name",
        "b",
        "--out",
        "out.jsonl",
        "--failed",
        "failed",
        ...noteRunner
      ]
      const both = [at.start(args), at.start(args)]
      const ended = yield* Effect.all(both.map((batch) => batch.ended))
      expect(ended.map(({ exitCode }) => exitCode)).toEqual([0, 0])
      ranOnce(at, 200)
      eachOnce(at, 200)
      expect(runnersOf(at).size).toBe(both.length)
    }))

  it.scopedLive("write an --out file each, and both are complete", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(100))
      const args = ["batch", "in.txt", "-c", "2", "--name", "b"]
      const ended = yield* Effect.all([
        at.run([...args, "--out", "one.jsonl", ...noteRunner]),
        at.run([...args, "--out", "two.jsonl", ...noteRunner])
      ], { concurrency: 2 })
      expect(ended.map(({ exitCode }) => exitCode)).toEqual([0, 0])
      ranOnce(at, 100)
      eachOnce(at, 100, "one.jsonl")
      eachOnce(at, 100, "two.jsonl")
    }))

  it.scopedLive("go on as one when the other is killed, with its tasks and its --out file", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(100))
      const args = ["batch", "in.txt", "-c", "2", "--name", "b", "--out", "out.jsonl", ...noteRunner]
      const first = at.start(args)
      yield* eventually(() => at.lines("out.jsonl").length > 0)
      const second = at.start(args)
      yield* eventually(() => runnersOf(at).size === 2)
      first.signal("SIGKILL")
      expect(yield* second.ended).toMatchObject({ exitCode: 0 })
      expect(results(at).map(({ index, status }) => [index, status])).toEqual(
        upTo(100).map((index) => [index, "ok"])
      )
      expect(at.lines("ran").length).toBeLessThanOrEqual(102)
    }))
})

describe("fifty processes that list tasks, ten at once, beside a running batch", () => {
  it.scopedLive("get all tasks each, and neither they nor the batch meet an error", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(400))
      const batch = at.start(["batch", "in.txt", "-c", "2", "--out", "out.jsonl", ...noteRunner])
      yield* eventually(() => at.lines("ran").length > 0)
      const list = ["tasks", "list", "--json", "--limit", "1000"]
      const lists = yield* Effect.all(upTo(50).map(() => at.run(list)), { concurrency: 10 })
      expect(new Set(lists.map(({ exitCode, stderr }) => `${exitCode} ${stderr}`))).toEqual(new Set(["0 "]))
      for (const { stdout } of lists) {
        const tasks = linesOf(stdout).map((line) => JSON.parse(line))
        expect(tasks.map((task) => task.id)).toEqual(upTo(400).map(String))
      }
      expect(yield* batch.ended).toMatchObject({ exitCode: 0 })
      eachOnce(at, 400)
      ranOnce(at, 400)
    }))
})

describe("a process stopped past its lease", () => {
  it.scopedLive("has its task run by another one; when it continues it changes nothing, and ends as the batch has", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(6))
      const script =
        "echo {} $PPID >> ran; [ {} = 1 ] && [ ! -e once ] && { echo > once; sleep 1000; }; exit 0"
      const run = (out: string) =>
        at.start(["batch", "in.txt", "-c", "1", "--name", "b", "--out", out, "--", "sh", "-c", script])
      const stopped = run("stopped.jsonl")
      yield* eventually(() => at.read("once") !== "")
      stopped.signal("SIGSTOP")
      yield* eventually(() => processState(stopped.pid) === "T")

      expect(yield* run("other.jsonl").ended).toMatchObject({ exitCode: 0 })
      expect(results(at, "other.jsonl").map(({ index, status }) => [index, status])).toEqual(
        upTo(6).map((index) => [index, "ok"])
      )
      stopped.signal("SIGCONT")
      // One that was stopped inside a transaction was killed to free the file.
      const { exitCode, signal } = yield* stopped.ended
      expect([0, "SIGKILL"]).toContain(exitCode ?? signal)
      if (exitCode === 0) expect(at.lines("stopped.jsonl")).toEqual(at.lines("other.jsonl"))
      expect(at.lines("ran").map((line) => line.split(" ")[0]).sort()).toEqual([
        "1",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6"
      ])
      expect(at.processes()).toEqual([])
      expect((yield* at.run(["db", "check"])).exitCode).toBe(0)
    }))
})
