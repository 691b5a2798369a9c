import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { afterAll } from "vitest"
import { countOf, hosting, project, removeShared, waiting } from "../support/agent-places.ts"
import { eventually } from "../support/command-processes.ts"
import type { Ended, Place } from "../support/holdfast.ts"
import { linesOf, place, rows } from "../support/holdfast.ts"

afterAll(removeShared)

const json = ({ stdout }: Ended) => linesOf(stdout).map((line) => JSON.parse(line))

const agents = (at: Place, ...args: ReadonlyArray<string>) => at.run(["agents", ...args])

/** A project with an empty store and no node. */
const idle = Effect.tap(project, (at) => at.run(["db", "migrate"]))

/** A project with a node that has handled an increment by 2 of each of these counters. */
const busy = (...ids: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const at = yield* idle
    for (const id of ids) yield* agents(at, "tell", `Counter/${id}`, "Increment", `{"by":2}`)
    const node = yield* hosting(at)
    yield* eventually(() => ids.every((id) => countOf(at, id) === 2 && waiting(at, id) === 0))
    return { at, node }
  })

const letters = (at: Place) =>
  rows<{ readonly value: string }>(
    at,
    "SELECT value FROM records WHERE value LIKE '%Counter/%' ORDER BY revision"
  )
    .map(({ value }) => value)

const rowOf = (at: Place, id: string) =>
  rows<{ readonly status: string; readonly activation: number; readonly cause: string | null }>(
    at,
    `SELECT status, activation, cause FROM agents WHERE id = '${id}'`
  )[0]

describe("agents tell", () => {
  it.scopedLive("puts a message into an inbox, once a key, whether or not a node runs or knows the agent", () =>
    Effect.gen(function*() {
      const at = yield* idle
      const first = yield* agents(at, "tell", "Counter/a", "Increment", `{ "by": 2 }`, "--key", "k")
      expect(first).toMatchObject({ exitCode: 0, stdout: "" })
      expect(linesOf(first.stderr)).toEqual([
        "notice: no agent of type Counter is known to this store yet; the message waits for one",
        "Increment to Counter/a: queued; no node runs now"
      ])
      const again = yield* agents(at, "tell", "Counter/a", "Increment", `{"by":3}`, "--key", "k")
      expect(again.stderr).toBe("Increment to Counter/a: told before under this key; nothing changed\n")
      const asJson = yield* agents(at, "tell", "--json", "Counter/a", "Await")
      expect(json(asJson)).toEqual([
        { type: "Counter", id: "a", message: "Await", told: true, nodeRuns: false }
      ])
      expect(asJson.stderr).toBe("")
      expect(rows(at, "SELECT message, payload, key, sender FROM agent_messages")).toEqual([
        { message: "Increment", payload: `{ "by": 2 }`, key: "k", sender: "holdfast agents tell" },
        { message: "Await", payload: "null", key: null, sender: "holdfast agents tell" }
      ])
    }))

  it.scopedLive("reads a payload from stdin, and delays a message", () =>
    Effect.gen(function*() {
      const at = yield* idle
      const told = yield* at.run(["agents", "tell", "Counter/a", "Increment", "-", "--delay", "2h"], {
        input: `{"by":2}\n`
      })
      expect(told.exitCode).toBe(0)
      const [message] = rows<{ readonly payload: string; readonly delay: number }>(
        at,
        "SELECT payload, not_before - enqueued_at AS delay FROM agent_messages"
      )
      expect(message?.payload).toBe(`{"by":2}`)
      expect(Math.abs((message?.delay ?? 0) - 7_200_000)).toBeLessThan(60_000)
      expect(json(yield* agents(at, "show", "Counter/a", "--json"))).toMatchObject([
        { status: "passive", commits: 0, messages: 1, delayed: 1 }
      ])
    }))

  it.scopedLive("refuses what can be seen to be wrong, with exit code 2, and tells nothing", () =>
    Effect.gen(function*() {
      const at = yield* idle
      const refused = yield* Effect.forEach([
        ["Counter/a", "Increment", "{by:2}"],
        ["Counter", "Increment"],
        ["Counter/", "Increment"],
        ["Counter/a", "Increment", "null", "--delay", "soon"]
      ], (args) => agents(at, "tell", ...args))
      expect(refused.map(({ exitCode }) => exitCode)).toEqual([2, 2, 2, 2])
      expect(refused[0]?.stderr).toContain("holdfast: the payload is no JSON: ")
      expect(refused[1]?.stderr).toBe("holdfast: Counter: write the agent as TYPE/ID, such as Counter/c-1\n")
      expect(refused[3]?.stderr).toContain("--delay soon: write a duration")
      const input = JSON.stringify("x".repeat(1024 * 1024))
      const large = yield* at.run(["agents", "tell", "Counter/a", "Increment", "-"], { input })
      expect(large.exitCode).toBe(2)
      expect(large.stderr).toBe("holdfast: the payload has 1048578 bytes; the limit is 1048576\n")
      expect(rows(at, "SELECT * FROM agent_messages")).toEqual([])
    }))

  it.scopedLive("something that does not match the protocol makes a dead letter of it, said once, and harms nobody", () =>
    Effect.gen(function*() {
      const { at, node } = yield* busy("a")
      yield* agents(at, "tell", "Counter/a", "Increment", `{"by":"two"}`)
      yield* agents(at, "tell", "Counter/a", "Nothing", "{}")
      yield* agents(at, "tell", "Counter/a", "Increment", `{"by":3}`)
      yield* eventually(() => countOf(at, "a") === 5 && waiting(at, "a") === 0)
      const [invalid, unknown, ...more] = letters(at)
      expect(invalid).toContain("the payload of Increment of agent Counter/a is invalid")
      expect(unknown).toContain("has no message")
      expect(more).toEqual([])
      expect(rowOf(at, "a")).toMatchObject({ status: "live", activation: 1 })
      node.signal("SIGTERM")
      const { exitCode, stderr, stdout } = yield* node.ended
      expect(exitCode).toBe(130)
      expect(stdout).toBe("")
      expect(stderr.match(/is a dead letter/g)).toHaveLength(2)
    }))
})

describe("agents list, show and state", () => {
  it.scopedLive("write agents as tables and as JSON, filtered and in pages", () =>
    Effect.gen(function*() {
      const { at, node } = yield* busy("a", "b/1", "c")
      const table = linesOf((yield* agents(at, "list")).stdout).map((line) => line.split(/\s+/).slice(0, 3))
      expect(table).toEqual([
        ["AGENT", "STATUS", "COMMITS"],
        ["Counter/a", "live", "1"],
        ["Counter/b/1", "live", "1"],
        ["Counter/c", "live", "1"]
      ])
      const ids = (...args: ReadonlyArray<string>) =>
        Effect.map(agents(at, "list", "--json", ...args), (ended) => json(ended).map(({ id }) => id))
      expect(yield* ids("--limit", "2", "--after", "Counter/a")).toEqual(["b/1", "c"])
      expect(yield* ids("--status", "parked")).toEqual([])
      expect(yield* ids("--type", "Other")).toEqual([])
      expect((yield* agents(at, "list", "--limit", "2")).stderr).toBe(
        "there may be more: add --after Counter/b/1\n"
      )
      const state = yield* agents(at, "state", "Counter/b/1")
      expect(state).toMatchObject({ exitCode: 0, stdout: `{\n  "count": 2\n}\n` })
      expect(state.stderr).toBe("state of version 1, as of commit 1:\n")
      expect(json(yield* agents(at, "state", "Counter/a", "--json"))).toEqual([
        { type: "Counter", id: "a", stateVersion: 1, commits: 1, state: { count: 2 } }
      ])
      expect(yield* agents(at, "show", "Counter/z")).toMatchObject({ exitCode: 4, stdout: "" })
      expect(yield* agents(at, "state", "Counter/z")).toMatchObject({
        exitCode: 4,
        stderr: "holdfast: there is no agent Counter/z\n"
      })
      node.signal("SIGKILL")
      yield* node.ended
    }))
})

describe("agents tree", () => {
  it.scopedLive("shows what each node owns, and what none does, with why it is parked", () =>
    Effect.gen(function*() {
      const { at, node } = yield* busy("a", "b", "c")
      yield* agents(at, "park", "Counter/c", "--reason", "wrong rates")
      const lines = linesOf((yield* agents(at, "tree", "--limit", "1")).stdout)
      expect(lines[0]).toMatch(new RegExp(`^node [0-9a-f-]{36}, running, pid ${node.pid} on `))
      expect(lines.slice(1)).toEqual([
        "└─ Counter: 2 live",
        "   ├─ Counter/a, commits 1, activations 1",
        "   └─ and 1 more",
        "no node",
        "└─ Counter: 1 parked",
        "   └─ Counter/c, commits 1, activations 1: wrong rates"
      ])
      node.signal("SIGKILL")
      yield* node.ended
      const [forest] = json(yield* agents(at, "tree", "--json"))
      expect(forest.nodes).toMatchObject([
        { status: "gone", pid: node.pid, groups: [{ type: "Counter", status: "live", agents: 2 }] }
      ])
    }))
})

describe("agents restart", () => {
  it.scopedLive("ends a message that never ends, and begins again from the last commit", () =>
    Effect.gen(function*() {
      const { at, node } = yield* busy("a")
      yield* agents(at, "tell", "Counter/a", "Hold")
      yield* eventually(() => at.lines("said").length === 1)
      expect(yield* agents(at, "restart", "Counter/a")).toMatchObject({
        exitCode: 0,
        stderr: "agent Counter/a: restarted\n"
      })
      yield* eventually(() => at.lines("said").length === 2)
      const [{ inbox }] = json(yield* agents(at, "show", "Counter/a", "--json"))
      expect(inbox).toMatchObject([{ message: "Hold", attempt: 2 }])
      expect(yield* agents(at, "discard", "Counter/a", String(inbox[0].no))).toMatchObject({ exitCode: 0 })
      yield* agents(at, "restart", "Counter/a")
      yield* agents(at, "tell", "Counter/a", "Increment", `{"by":3}`)
      yield* eventually(() => countOf(at, "a") === 5)
      expect(at.lines("said")).toHaveLength(2)
      node.signal("SIGTERM")
      expect((yield* node.ended).exitCode).toBe(130)
      expect(yield* agents(at, "restart", "Counter/a")).toMatchObject({
        exitCode: 4,
        stderr: "holdfast: agent Counter/a is passive: the next message activates it from its last commit\n"
      })
      expect(yield* agents(at, "restart", "Counter/z")).toMatchObject({ exitCode: 4 })
    }))

  it.scopedLive("is queued while the owner is dead, and finds nothing to do once another has taken over", () =>
    Effect.gen(function*() {
      const { at, node } = yield* busy("a")
      node.signal("SIGKILL")
      yield* node.ended
      const queued = yield* agents(at, "restart", "Counter/a", "--json")
      expect(json(queued)).toEqual([{ type: "Counter", id: "a", queued: true, changed: null }])
      const next = yield* hosting(at)
      yield* eventually(() => rows(at, "SELECT 1 FROM commands WHERE outcome IS NULL").length === 0)
      next.signal("SIGTERM")
      expect((yield* next.ended).exitCode).toBe(130)
    }))
})

describe("agents park and resume", () => {
  it.scopedLive("keep an agent's messages waiting, and let it go on with them", () =>
    Effect.gen(function*() {
      const { at, node } = yield* busy("a")
      expect((yield* agents(at, "park", "Counter/a", "--reason", "wrong rates")).stderr).toBe(
        "agent Counter/a: parked\n"
      )
      yield* agents(at, "tell", "Counter/a", "Increment", `{"by":3}`)
      expect(yield* agents(at, "park", "Counter/a")).toMatchObject({
        exitCode: 4,
        stderr: "holdfast: agent Counter/a is parked already: wrong rates\n"
      })
      expect(yield* agents(at, "restart", "Counter/a")).toMatchObject({ exitCode: 4 })
      expect(rowOf(at, "a")).toMatchObject({ status: "parked", cause: "wrong rates" })
      expect(waiting(at, "a")).toBe(1)
      expect((yield* agents(at, "resume", "Counter/a")).stderr).toBe("agent Counter/a: resumed\n")
      yield* eventually(() => countOf(at, "a") === 5)
      expect(yield* agents(at, "resume", "Counter/a")).toMatchObject({ exitCode: 4 })
      node.signal("SIGTERM")
      yield* node.ended
    }))

  it.scopedLive("bring back one that a bug has parked, once its message is discarded", () =>
    Effect.gen(function*() {
      const { at, node } = yield* busy("a")
      yield* agents(at, "tell", "Counter/a", "Crash")
      yield* agents(at, "tell", "Counter/a", "Increment", `{"by":3}`)
      yield* eventually(() => rowOf(at, "a")?.status === "parked")
      const [{ cause, inbox }] = json(yield* agents(at, "show", "Counter/a", "--json"))
      expect(cause).toContain("a bug")
      expect(inbox).toMatchObject([{ message: "Crash" }, { message: "Increment" }])
      expect(yield* agents(at, "discard", "Counter/a", String(inbox[0].no))).toMatchObject({
        exitCode: 0,
        stderr: `agent Counter/a: message ${inbox[0].no} discarded\n`
      })
      expect(yield* agents(at, "discard", "Counter/a", String(inbox[0].no))).toMatchObject({ exitCode: 4 })
      yield* agents(at, "resume", "Counter/a")
      yield* eventually(() => countOf(at, "a") === 5)
      node.signal("SIGTERM")
      yield* node.ended
    }))
})

describe("a database that is not there", () => {
  it.scopedLive.each([
    "agents list",
    "agents show Counter/a",
    "agents state Counter/a",
    "agents tree",
    "agents tell Counter/a Increment",
    "agents restart Counter/a",
    "agents park Counter/a"
  ])("is not made by %s, which ends with exit code 4", (args) =>
    Effect.gen(function*() {
      const at = yield* place
      const ended = yield* at.run(args.split(" "))
      expect(ended).toMatchObject({ exitCode: 4, stdout: "" })
      expect(ended.stderr).toContain("there is no database at ./holdfast.db")
    }))
})
