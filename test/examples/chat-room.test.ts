import { describe, expect, it } from "@effect/vitest"
import * as AgentAddress from "@holdfast/agents/AgentAddress"
import type { AgentError } from "@holdfast/agents/AgentError"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import type { AgentStore } from "@holdfast/agents/AgentStore"
import * as Memory from "@holdfast/agents/Memory"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { historyMax, layer, Member, NotAMember, Room } from "../../examples/chat-room/room.ts"
import { settled } from "../../examples/support/settled.ts"
import { runExample } from "../support/examples.ts"
import { place } from "../support/holdfast.ts"

const storages = [
  ["memory", Memory.layer],
  ["SQLite", Sqlite.layer({ filename: ":memory:" })]
] as const

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

const names = upTo(8).map((n) => `member-${n}`)

/** Says it again until it is said: a crash answers nobody. */
const say = (from: string, id: string) =>
  Effect.flatMap(Room.client, (room) =>
    Effect.retry(room("r").Say({ id, from, text: id }), {
      while: ({ _tag }) => _tag === "AgentCrashed"
    }))

const join = (member: string) => Effect.flatMap(Room.client, (room) => room("r").Join({ member }))

const leave = (member: string) => Effect.flatMap(Room.client, (room) => room("r").Leave({ member }))

const heard = (member: string) =>
  Effect.flatMap(Member.client, (client) => client(member).Read({ room: "r" }))

const history = Effect.flatMap(Room.client, (room) => room("r").History())

/** Each member says its part one after the other, all at the same time; some crash meanwhile. */
const conversation = (each: number, crashing: ReadonlyArray<AgentAddress.AgentAddress>) =>
  Effect.gen(function*() {
    const runtime = yield* AgentRuntime.AgentRuntime
    const part = (from: string, index: number) =>
      Effect.forEach(upTo(each), (n) => {
        const address = n === 2 ? crashing[index] : undefined
        const crash = address === undefined ? Effect.void : runtime.kill(address)
        return Effect.zipLeft(say(from, `${from} ${n}`), crash)
      })
    yield* Effect.forEach(names, part, { concurrency: "unbounded" })
    yield* settled
  })

for (const [storage, ports] of storages) {
  const inRoom = <A>(
    program: Effect.Effect<A, AgentError | NotAMember, AgentRuntime.AgentRuntime | AgentStore>
  ) => Effect.provide(program, layer.pipe(Layer.provideMerge(AgentRuntime.layer), Layer.provideMerge(ports)))

  describe(`a chat room on ${storage}`, () => {
    it.live("has each member hear each message once, in the room's order, while agents crash", () =>
      inRoom(Effect.gen(function*() {
        yield* Effect.forEach(names, join)
        const members = names.slice(0, 4).map((name) => AgentAddress.make("Member", name))
        yield* conversation(10, [AgentAddress.make("Room", "r"), ...members])
        const said = yield* history
        expect(said.map(({ number }) => number)).toEqual(upTo(80))
        const texts = names.flatMap((name) => upTo(10).map((n) => `${name} ${n}`))
        expect(said.map(({ text }) => text).sort()).toEqual(texts.sort())
        for (const name of names) expect(yield* heard(name), name).toEqual(said)
      })))

    it.live("has who comes later, or again, hear what it has not heard, and all forget what is long ago", () =>
      inRoom(Effect.gen(function*() {
        yield* Effect.forEach(names, join)
        yield* conversation(1, [])
        yield* leave("member-1")
        yield* Effect.forEach(upTo(10), (n) => say("member-2", `meanwhile ${n}`))
        yield* Effect.forEach(["member-1", "late"], join)
        yield* settled
        expect((yield* history).map(({ number }) => number)).toEqual(upTo(18))
        for (const name of [...names, "late"]) expect(yield* heard(name), name).toEqual(yield* history)
        yield* Effect.forEach(upTo(historyMax), (n) => say("late", `more ${n}`))
        yield* settled
        expect((yield* history).map(({ number }) => number)).toEqual(upTo(18 + historyMax).slice(18))
        for (const name of [...names, "late"]) expect(yield* heard(name), name).toEqual(yield* history)
      })))

    it.live("says once what is said again under the same id", () =>
      inRoom(Effect.gen(function*() {
        yield* join("ann")
        expect(yield* say("ann", "hello")).toBe(1)
        expect(yield* say("ann", "hello")).toBe(1)
        expect(yield* history).toEqual([{ number: 1, from: "ann", text: "hello" }])
      })))

    it.live("refuses who is not in it", () =>
      inRoom(Effect.gen(function*() {
        yield* join("ann")
        const refused = new NotAMember({ room: "r", member: "bob" })
        expect(yield* Effect.exit(say("bob", "hello"))).toEqual(Exit.fail(refused))
        yield* settled
        expect(yield* heard("ann")).toEqual([])
      })))
  })
}

describe("the chat room's command", () => {
  it.scopedLive("prints what was heard, in this run and the one before", () =>
    Effect.gen(function*() {
      const at = yield* place
      expect(yield* runExample(at, "chat-room")).toMatchObject({ exitCode: 0, stderr: "" })
      const { exitCode, stdout } = yield* runExample(at, "chat-room")
      expect(exitCode).toBe(0)
      const lines = stdout.split("\n").slice(0, -1)
      expect(lines.map((line) => Number(line.split(" ")[0]))).toEqual(upTo(6))
      expect(lines[0]).toBe("1 ann: hello, Bob")
      expect(lines.slice(4).sort()).toEqual([
        expect.stringContaining("bob: "),
        expect.stringContaining("carol: ")
      ])
    }))
})
