import * as Rpc from "@effect/rpc/Rpc"
import { describe, expect, it } from "@effect/vitest"
import * as Agent from "@holdfast/agents/Agent"
import * as AgentAddress from "@holdfast/agents/AgentAddress"
import * as AgentState from "@holdfast/agents/AgentState"
import * as Arbitrary from "effect/Arbitrary"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"

const V1 = Schema.Struct({ count: Schema.Int })
const V2 = Schema.Struct({ count: Schema.Int, names: Schema.Array(Schema.String) })
const V3 = Schema.Struct({
  total: Schema.Int,
  names: Schema.ReadonlyMap({ key: Schema.String, value: Schema.Int }),
  at: Schema.NullOr(Schema.ValidDateFromSelf.pipe((self) => Schema.DateFromString.pipe(Schema.compose(self))))
})

const one = AgentState.migration({
  from: 1,
  schema: V1,
  migrate: ({ count }) => ({ count, names: [`n${count}`] })
})
const two = AgentState.migration({
  from: 2,
  schema: V2,
  migrate: ({ count, names }) => ({
    total: count,
    names: new Map(names.map((name, at) => [name, at])),
    at: null
  })
})

const codec = AgentState.codec(V3, { version: 3, migrations: [one, two] })
const codec1 = AgentState.codec(V1)
const codec2 = AgentState.codec(V2, { version: 2, migrations: [one] })
const address = AgentAddress.make("Counter", "c-1")

describe("AgentState", () => {
  it.prop(
    "law: decoding an encoded state gives that state",
    { state: Arbitrary.make(V3) },
    ({ state }) => {
      const text = Either.getOrThrow(codec.encode(address, state))
      expect(codec.decode(address, 3, text)).toEqual(Either.right(state))
    }
  )

  it.prop(
    "law: a state of any old version migrates, through every version after it, and re-encodes",
    { old: FastCheck.oneof(Arbitrary.make(V1), Arbitrary.make(V2)) },
    (args) => {
      const { old } = args
      const [version, text] = "names" in old
        ? [2, Either.getOrThrow(codec2.encode(address, old))] as const
        : [1, Either.getOrThrow(codec1.encode(address, old))] as const
      const state = Either.getOrThrow(codec.decode(address, version, text))
      const names = "names" in old ? old.names : [`n${old.count}`]
      expect(state).toEqual({
        total: old.count,
        names: new Map(names.map((name, at) => [name, at])),
        at: null
      })
      const again = Either.getOrThrow(codec.encode(address, state))
      expect(codec.decode(address, 3, again)).toEqual(Either.right(state))
    }
  )

  it.prop(
    "law: text that cannot be read is kept in the error, byte for byte",
    { text: FastCheck.fullUnicodeString(), version: FastCheck.integer({ min: 1, max: 3 }) },
    ({ text, version }) => {
      const refused = Either.flip(codec.decode(address, version, `${text}?`))
      expect(Either.getOrThrow(refused)).toMatchObject({
        _tag: "StateUndecodable",
        address,
        version,
        text: `${text}?`
      })
    }
  )

  it("tells a state of a newer program from one it cannot read", () => {
    expect(Either.flip(codec.decode(address, 4, "{}")).pipe(Either.getOrThrow)).toMatchObject({
      _tag: "StateTooNew",
      version: 4,
      versionMax: 3
    })
    for (const version of [0, -1, 1.5]) {
      expect(Either.flip(codec.decode(address, version, "{}")).pipe(Either.getOrThrow)._tag).toBe(
        "StateUndecodable"
      )
    }
  })

  it("does not read versions older than its first migration", () => {
    const recent = AgentState.codec(V3, { version: 3, migrations: [two] })
    expect(recent.versionMin).toBe(2)
    const refused = recent.decode(address, 1, `{"count":1}`)
    expect(Either.flip(refused).pipe(Either.getOrThrow).message).toContain("nothing reads version 1")
  })

  it("cannot read a state whose migration throws, or yields what the schema refuses", () => {
    const Even = Schema.Number.pipe(Schema.filter((number) => number % 2 === 0))
    const throwing = AgentState.migration({
      from: 1,
      schema: Schema.Number,
      migrate: (number) => {
        if (number === 0) throw new Error("no zero")
        return number
      }
    })
    const even = AgentState.codec(Even, { version: 2, migrations: [throwing] })
    expect(even.decode(address, 1, "4")).toEqual(Either.right(4))
    const messages = ["0", "3"].map((text) =>
      Either.flip(even.decode(address, 1, text)).pipe(Either.getOrThrow).message
    )
    expect(messages[0]).toContain("no zero")
    expect(messages[1]).toContain("Predicate")
  })

  it("refuses to encode a state outside its schema, and one over the limit", () => {
    expect(Either.flip(codec1.encode(address, { count: 0.5 })).pipe(Either.getOrThrow)._tag).toBe(
      "StateInvalid"
    )
    const small = AgentState.codec(Schema.String, { bytesMax: 8 })
    expect(Either.isRight(small.encode(address, "ééé"))).toBe(true)
    expect(Either.flip(small.encode(address, "éééa")).pipe(Either.getOrThrow)).toMatchObject({
      _tag: "PayloadTooLarge",
      what: "state of agent Counter/c-1",
      bytes: 9,
      bytesMax: 8
    })
  })

  it("throws on versions and migrations that do not fit", () => {
    expect(() => AgentState.codec(V1, { version: 0 })).toThrow("positive integer, not 0")
    expect(() => AgentState.codec(V3, { version: 4, migrations: [one, two] })).toThrow("from 2, 3, not 1, 2")
    expect(() => AgentState.codec(V3, { version: 2, migrations: [one, two] })).toThrow("from 0, 1, not 1, 2")
  })
})

describe("Agent.make", () => {
  const Read = Rpc.make("Read", { success: Schema.Int })
  const options = { protocol: [Read], state: V1, initial: { count: 0 } } as const

  it("gives a value with every default, and the migrations of its state", () => {
    const counter = Agent.make("Counter", {
      ...options,
      state: V3,
      initial: (id) => ({
        total: id.length,
        names: new Map<string, number>(),
        at: null
      }),
      version: 3,
      migrations: [one, two]
    })
    expect(counter).toMatchObject({
      _tag: "Agent",
      name: "Counter",
      durability: "commit",
      mailbox: { capacity: 1_000, overflow: "backpressure" },
      supervision: { maxRestarts: 3, periodMillis: 5_000, exceeded: "park" },
      capabilities: []
    })
    expect(counter.initial("abc").total).toBe(3)
    expect(Either.map(counter.state.decode(address, 1, `{"count":7}`), ({ total }) => total)).toEqual(
      Either.right(7)
    )
  })

  it("throws on a policy that cannot be kept", () => {
    expect(() => Agent.make("a/b", options)).toThrow("no slash")
    expect(() => Agent.make("A", { ...options, protocol: [Read, Read] })).toThrow("two messages \"Read\"")
    expect(() => Agent.make("A", { ...options, mailbox: { capacity: 0 } })).toThrow("positive integer, not 0")
    expect(() => Agent.make("A", { ...options, askTimeout: 0 })).toThrow("askTimeout")
  })
})
