import { describe, expect, it } from "@effect/vitest"
import * as AgentOperation from "@holdfast/agents/AgentOperation"
import { AgentStore } from "@holdfast/agents/AgentStore"
import { CommitLog } from "@holdfast/agents/CommitLog"
import type { AgentCommand } from "@holdfast/persistence/AgentCommand"
import * as Command from "@holdfast/persistence/Command"
import * as GuestInbox from "@holdfast/persistence/GuestInbox"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as SqliteReader from "@holdfast/persistence/SqliteReader"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { temporaryStore } from "../support/store-processes.ts"

const address = { type: "Counter", id: "c-1" }

/** A store with a node on it. */
const node = (filename: string) =>
  Effect.map(Layer.build(Sqlite.layer({ filename })), (context) => ({
    log: Context.get(context, CommitLog),
    store: Context.get(context, AgentStore)
  }))

type Node = Effect.Effect.Success<ReturnType<typeof node>>

const activate = ({ log }: Node) =>
  Effect.map(
    log.commit([AgentOperation.activateAgent({ ...address, stateVersionMax: 1, nowMillis: 0 })]),
    ([{ activation }]) => activation
  )

const commit = ({ log }: Node, activation: number) =>
  log.commit([AgentOperation.commitMessage({ ...address, activation, base: 0, tells: [], nowMillis: 0 })])

const rowOf = ({ store }: Node) => Effect.map(store.get(address), Option.getOrThrow)

const outcomeOf = (filename: string, id: string) =>
  Effect.scoped(
    Effect.flatMap(SqliteReader.open(filename), (reader) => reader.read("test", () => Command.outcomeOf(id)))
  )

/** Gives a command and waits until a node has carried it out. */
const carriedOut = (filename: string, command: AgentCommand) =>
  Effect.flatMap(
    Command.submit(filename, command),
    (id) =>
      Effect.repeat(Effect.delay(outcomeOf(filename, id), "10 millis"), {
        until: (outcome) => outcome !== null
      })
  )

const tell = (filename: string, key?: string) =>
  GuestInbox.tell(filename, {
    sender: "a test",
    nowMillis: 1,
    message: { to: address, message: "Add", payload: `{"by":1}`, ...(key === undefined ? {} : { key }) }
  })

describe("a command about an agent", () => {
  it.scopedLive("to restart it makes its owner activate it again, and refuses what it still writes", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const owner = yield* node(filename)
      const activation = yield* activate(owner)
      expect(yield* carriedOut(filename, { _tag: "RestartAgent", ...address })).toBe(`{"changed":1}`)
      expect(yield* rowOf(owner)).toMatchObject({ status: "live", activation: activation + 1 })
      expect(yield* Effect.flip(commit(owner, activation))).toMatchObject({ _tag: "AgentSuperseded" })
      expect(yield* activate(owner)).toBe(activation + 2)
    }))

  it.scopedLive("to restart it is left to its owner, whoever else runs", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const other = yield* node(filename)
      const owner = yield* node(filename)
      yield* activate(owner)
      const command = { _tag: "RestartAgent", ...address } as const
      const id = yield* Command.submit(filename, command)
      expect(yield* other.log.commit([Command.carryOut({ id, command, nowMillis: 0 })])).toEqual([null])
      yield* Effect.repeat(Effect.delay(outcomeOf(filename, id), "10 millis"), {
        until: (outcome) => outcome !== null
      })
      expect((yield* rowOf(owner)).activation).toBe(2)
    }))

  it.scopedLive("to restart one that is not live changes nothing", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      yield* node(filename)
      expect(yield* carriedOut(filename, { _tag: "RestartAgent", ...address })).toBe(`{"changed":0}`)
    }))

  it.scopedLive("to park it, by any node, keeps the first cause, and to resume it gives messages all attempts", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const owner = yield* node(filename)
      const activation = yield* activate(owner)
      yield* tell(filename)
      yield* owner.log.commit([
        AgentOperation.claimMessages({ ...address, activation, limit: 10, nowMillis: 1 })
      ])
      const park = (cause: string) => carriedOut(filename, { _tag: "ParkAgent", ...address, cause })
      expect(yield* park("enough")).toBe(`{"changed":1}`)
      expect(yield* park("again")).toBe(`{"changed":0}`)
      expect(yield* rowOf(owner)).toMatchObject({ status: "parked", cause: "enough", node: null })
      expect(yield* owner.store.inbox(address, 0, 10)).toMatchObject([{ attempt: 1 }])
      const resume = { _tag: "ResumeAgent", ...address } as const
      expect(yield* carriedOut(filename, resume)).toBe(`{"changed":1}`)
      expect(yield* carriedOut(filename, resume)).toBe(`{"changed":0}`)
      expect(yield* rowOf(owner)).toMatchObject({ status: "passive", cause: null })
      expect(yield* owner.store.inbox(address, 0, 10)).toMatchObject([{ attempt: 0 }])
    }))

  it.scopedLive("to discard a message takes that one out of the inbox", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const owner = yield* node(filename)
      yield* tell(filename)
      yield* tell(filename)
      const [first, second] = yield* owner.store.inbox(address, 0, 10)
      const discard = { _tag: "DiscardMessage", ...address, sequence: first?.sequence ?? 0 } as const
      expect(yield* carriedOut(filename, discard)).toBe(`{"changed":1}`)
      expect(yield* carriedOut(filename, discard)).toBe(`{"changed":0}`)
      expect(yield* owner.store.inbox(address, 0, 10)).toEqual([second])
    }))
})

describe("a guest", () => {
  it.scopedLive("tells an agent once a key, until it is answered and after", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const owner = yield* node(filename)
      expect(yield* tell(filename, "k")).toBe(true)
      expect(yield* tell(filename, "k")).toBe(false)
      expect(yield* tell(filename)).toBe(true)
      const activation = yield* activate(owner)
      const reply = { key: "k", message: "Add", outcome: `{"success":null}` }
      yield* owner.log.commit([
        AgentOperation.commitMessage({ ...address, activation, base: 0, reply, tells: [], nowMillis: 2 })
      ])
      expect(yield* tell(filename, "k")).toBe(false)
      expect(yield* owner.store.inbox(address, 0, 10)).toMatchObject([{ key: null, sender: "a test" }])
    }))

  it.scopedLive("tells nobody where there is no store", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      expect(yield* Effect.flip(tell(filename))).toMatchObject({ _tag: "StorageError", reason: "NotFound" })
    }))
})
