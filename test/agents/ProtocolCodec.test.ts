import * as Rpc from "@effect/rpc/Rpc"
import { describe, expect, it } from "@effect/vitest"
import * as Agent from "@holdfast/agents/Agent"
import type { Handlers } from "@holdfast/agents/Agent"
import * as AgentAddress from "@holdfast/agents/AgentAddress"
import { AgentRuntime } from "@holdfast/agents/AgentRuntimeTag"
import * as ProtocolCodec from "@holdfast/agents/ProtocolCodec"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

class LimitReached extends Schema.TaggedError<LimitReached>()("LimitReached", { limit: Schema.Int }) {}

const Amount = Schema.Struct({
  by: Schema.Int,
  note: Schema.optionalWith(Schema.String, { default: () => "none" })
})

const Add = Rpc.make("Add", { payload: Amount, success: Schema.BigInt, error: LimitReached })
const Transfer = Rpc.make("Transfer", {
  payload: { id: Schema.String, cents: Schema.Int },
  primaryKey: ({ id }) => id
})
const Read = Rpc.make("Read", { success: Schema.NullOr(Schema.Int), error: Schema.String })
const Maybe = Rpc.make("Maybe", {
  payload: Schema.UndefinedOr(Schema.Int),
  success: Schema.UndefinedOr(Schema.Int)
})

const codec = ProtocolCodec.make([Add, Transfer, Read, Maybe])
const address = AgentAddress.make("Counter", "c-1")

const outcome = <A, E>(success: FastCheck.Arbitrary<A>, error: FastCheck.Arbitrary<E>) =>
  FastCheck.oneof(
    success.map((value): Either.Either<A, E> => Either.right(value)),
    error.map((value): Either.Either<A, E> => Either.left(value))
  )

describe("ProtocolCodec", () => {
  it.effect.prop(
    "law: a payload and an outcome come back as they were, success told from failure",
    {
      payload: Arbitrary.make(Amount),
      answer: outcome(FastCheck.bigInt(), FastCheck.integer().map((limit) => new LimitReached({ limit })))
    },
    ({ answer, payload }) =>
      Effect.gen(function*() {
        const { Add } = codec.messages
        expect(yield* Add.decodePayload(address, yield* Add.encodePayload(address, payload))).toEqual(payload)
        expect(yield* Add.decodeOutcome(address, yield* Add.encodeOutcome(address, answer))).toEqual(answer)
      })
  )

  it.effect.prop(
    "law: a success and a failure of the same text are told apart, and so are nothing and null",
    {
      read: outcome(FastCheck.option(FastCheck.integer()), FastCheck.string()),
      maybe: FastCheck.option(FastCheck.integer(), { nil: undefined })
    },
    ({ maybe, read }) =>
      Effect.gen(function*() {
        const { Maybe, Read } = codec.messages
        expect(yield* Read.decodeOutcome(address, yield* Read.encodeOutcome(address, read))).toEqual(read)
        expect(yield* Maybe.decodePayload(address, yield* Maybe.encodePayload(address, maybe))).toBe(maybe)
        const answered = yield* Maybe.encodeOutcome(address, Either.right(maybe))
        expect(yield* Maybe.decodeOutcome(address, answered)).toEqual(Either.right(maybe))
      })
  )

  it.effect("stores outcomes as one JSON text, no payload as null", () =>
    Effect.gen(function*() {
      const { Add, Read, Transfer } = codec.messages
      expect(yield* Add.encodeOutcome(address, Either.right(7n))).toBe(`{"success":"7"}`)
      expect(yield* Add.encodeOutcome(address, Either.left(new LimitReached({ limit: 3 })))).toBe(
        `{"failure":{"limit":3,"_tag":"LimitReached"}}`
      )
      expect(yield* Transfer.encodeOutcome(address, Either.right(undefined))).toBe(`{"success":null}`)
      expect(yield* Read.encodePayload(address, undefined)).toBe("null")
    }))

  it.effect("constructs a payload with its defaults, and its key by the tag and the primaryKey", () =>
    Effect.gen(function*() {
      const { Add, Transfer } = codec.messages
      const add = yield* Add.construct(address, { by: 1 })
      expect(Add.key(add)).toEqual(Option.none())
      const transfer = yield* Transfer.construct(address, { id: "t-1", cents: 5 })
      expect(Transfer.key(transfer)).toEqual(Option.some("Transfer/t-1"))
      const stored = yield* Transfer.decodePayload(address, yield* Transfer.encodePayload(address, transfer))
      expect(Transfer.key(stored)).toEqual(Option.some("Transfer/t-1"))
    }))

  it.effect("names the message and the issue of whatever does not match its schema", () =>
    Effect.gen(function*() {
      const { Add } = codec.messages
      const invalid = (part: string) => ({ _tag: "InvalidPayload", address, rpc: "Add", part })
      expect(yield* Effect.flip(Add.construct(address, { by: 0.5 }))).toMatchObject(invalid("payload"))
      expect(yield* Effect.flip(Add.encodePayload(address, { by: 0.5, note: "" }))).toMatchObject(
        invalid("payload")
      )
      for (const text of ["", "{", "null", `{"by":"1"}`]) {
        expect(yield* Effect.flip(Add.decodePayload(address, text))).toMatchObject(invalid("payload"))
      }
      for (const text of ["", "[]", `{}`, `{"success":7}`, `{"success":"7","failure":0}`]) {
        expect(yield* Effect.flip(Add.decodeOutcome(address, text))).toMatchObject(invalid("success"))
      }
      const failure = yield* Effect.flip(Add.decodeOutcome(address, `{"failure":{}}`))
      expect(failure).toMatchObject(invalid("failure"))
    }))

  it.effect("refuses what is over the limit, in bytes, before anything is written", () =>
    Effect.gen(function*() {
      const Say = Rpc.make("Say", { payload: { text: Schema.String }, success: Schema.String })
      const { Say: small } = ProtocolCodec.make([Say], 13).messages
      expect(yield* small.encodePayload(address, { text: "é" })).toBe(`{"text":"é"}`)
      const payload = yield* Effect.flip(small.encodePayload(address, { text: "éé" }))
      expect(payload).toMatchObject({ _tag: "PayloadTooLarge", bytes: 15, bytesMax: 13 })
      expect(payload.message).toContain("payload of Say of agent Counter/c-1")
      const answer = yield* Effect.flip(small.encodeOutcome(address, Either.right("x")))
      expect(answer).toMatchObject({ _tag: "PayloadTooLarge", bytes: 15 })
    }))

  it.effect("allows 1 MiB and no byte more by default", () =>
    Effect.gen(function*() {
      const { Read } = codec.messages
      const framing = `{"failure":""}`.length
      const text = "x".repeat(1024 * 1024 - framing)
      yield* Read.encodeOutcome(address, Either.left(text))
      const refused = yield* Effect.flip(Read.encodeOutcome(address, Either.left(`${text}x`)))
      expect(refused._tag).toBe("PayloadTooLarge")
    }))

  it("knows its tags, and names them to whoever sends another", () => {
    expect(codec.message(address, "Add")).toEqual(Either.right(codec.messages.Add))
    for (const tag of ["Remove", "toString", "__proto__"]) {
      expect(Either.flip(codec.message(address, tag)).pipe(Either.getOrThrow)).toMatchObject({
        _tag: "UnknownMessage",
        rpc: tag,
        known: ["Add", "Transfer", "Read", "Maybe"]
      })
    }
  })

  it.effect("a client sends to its agent's address; a layer registers its handlers", () =>
    Effect.gen(function*() {
      const counter = Agent.make("Counter", { protocol: [Maybe], state: Schema.Int, initial: 0 })
      const sent: Array<unknown> = []
      const registered: Array<unknown> = []
      const runtime = Layer.succeed(AgentRuntime, {
        ...({} as Omit<AgentRuntime["Type"], "register" | "send">),
        register: (definition, handlers) =>
          Effect.asVoid(Effect.sync(() => registered.push([definition.name, handlers]))),
        send: (to, message, payload, options) =>
          Effect.sync(() => sent.push([to, message, payload, options])).pipe(Effect.zipRight(Effect.never))
      })
      const handlers: Handlers<typeof Maybe, number, never> = { Maybe: Effect.succeed }
      yield* Effect.gen(function*() {
        const client = yield* counter.client
        yield* Effect.raceFirst(client("c-9").Maybe(4, { timeoutMillis: 5 }), Effect.yieldNow())
      }).pipe(Effect.provide(counter.toLayer(handlers).pipe(Layer.provideMerge(runtime))))
      expect(registered).toEqual([["Counter", handlers]])
      expect(sent).toEqual([[{ type: "Counter", id: "c-9" }, "Maybe", 4, { timeoutMillis: 5 }]])
    }))
})
