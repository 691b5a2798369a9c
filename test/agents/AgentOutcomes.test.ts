import * as Rpc from "@effect/rpc/Rpc"
import { describe, expect, it } from "@effect/vitest"
import * as Agent from "@holdfast/agents/Agent"
import * as AgentAddress from "@holdfast/agents/AgentAddress"
import { AgentCrashed } from "@holdfast/agents/AgentError"
import { AgentRuntime } from "@holdfast/agents/AgentRuntime"
import { AgentStore } from "@holdfast/agents/AgentStore"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { onMemory } from "./runtime.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", { code: Schema.Int }) {}

const End = Schema.Literal(
  "succeed",
  "fail",
  "die",
  "throw",
  "interrupt",
  "hold",
  "fail, then die",
  "interrupt, then die",
  "fail beside die",
  "invalid state"
)
type End = typeof End.Type

const Step = Schema.Union(
  Schema.TaggedStruct("Set", { to: Schema.Int }),
  Schema.TaggedStruct("Tell", {}),
  Schema.TaggedStruct("Yield", {}),
  Schema.TaggedStruct("AskInner", { end: End })
)
type Step = typeof Step.Type

const Inner = Agent.make("Inner", {
  protocol: [Rpc.make("Run", { payload: { code: Schema.Int, end: End }, error: Refused })],
  state: Schema.NonNegativeInt,
  initial: 0
})

/** Does what its message says. */
const Machine = Agent.make("Machine", {
  protocol: [
    Rpc.make("Run", {
      payload: { code: Schema.Int, steps: Schema.Array(Step), end: End },
      success: Schema.Int,
      error: Refused
    }),
    Rpc.make("Note")
  ],
  state: Schema.NonNegativeInt,
  initial: 7
})

const bug = (code: number) => `bug ${code}`

const ending = (end: End, code: number, held: Effect.Effect<void>): Effect.Effect<void, Refused> => {
  const [refused, died] = [Effect.fail(new Refused({ code })), Effect.die(bug(code))]
  switch (end) {
    case "succeed":
    case "invalid state":
      return Effect.void
    case "fail":
      return refused
    case "die":
      return died
    case "throw":
      return Effect.sync(() => {
        throw new Error(bug(code))
      })
    case "interrupt":
      return Effect.interrupt
    case "hold":
      return Effect.zipRight(held, Effect.never)
    case "fail, then die":
      return Effect.ensuring(refused, died)
    case "interrupt, then die":
      return Effect.ensuring(Effect.interrupt, died)
    case "fail beside die":
      return Effect.all([refused, died], { concurrency: 2, discard: true })
  }
}

const layerOf = (held: Effect.Effect<void>) =>
  Layer.merge(
    Inner.toLayer({
      Run: ({ code, end }, inner) =>
        Effect.zipRight(end === "invalid state" ? inner.set(-1) : inner.set(1), ending(end, code, held))
    }),
    Machine.toLayer({
      Run: ({ code, end, steps }, machine) =>
        Effect.gen(function*() {
          for (const step of steps) {
            if (step._tag === "Set") yield* machine.set(step.to)
            else if (step._tag === "Tell") yield* machine.tell(Machine, "noted").Note()
            else if (step._tag === "Yield") yield* Effect.yieldNow()
            else yield* machine.ask(Inner, "i").Run({ code, end: step.end })
          }
          if (end === "invalid state") yield* machine.set(-1)
          yield* ending(end, code, held)
          return code
        }),
      Note: (_, machine) => machine.update((count) => count + 1)
    })
  )

/** What the model knows of ends: a success, a failure, a bug, an interruption, or nothing until somebody interrupts. */
type Kind = "success" | "failure" | "bug" | "interruption" | "hold"

const kindOf = (end: End): Kind =>
  end === "succeed" ?
    "success" :
    end === "fail" ?
    "failure" :
    end === "interrupt" ?
    "interruption" :
    end === "hold"
    ? "hold"
    : "bug"

/** The first step that does not succeed is the end; a bug of another agent is an error to the one who asked it. */
const expectedOf = (
  steps: ReadonlyArray<Step>,
  end: End
): { readonly kind: Kind; readonly isInner: boolean } => {
  const inner = steps.find((step) => step._tag === "AskInner" && step.end !== "succeed")
  return inner?._tag === "AskInner"
    ? { kind: kindOf(inner.end), isInner: true }
    : { kind: kindOf(end), isInner: false }
}

const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  FastCheck.record({ _tag: FastCheck.constant("Set" as const), to: FastCheck.nat(9) }),
  FastCheck.constant({ _tag: "Tell" as const }),
  FastCheck.constant({ _tag: "Yield" as const }),
  FastCheck.record({
    _tag: FastCheck.constant("AskInner" as const),
    end: FastCheck.constantFrom(...End.literals)
  })
)

const machine = AgentAddress.make("Machine", "m")

const stateOf = (id: string) =>
  Effect.flatMap(
    AgentRuntime,
    ({ inspect }) => Effect.map(inspect(Machine, id), (found) => Option.getOrNull(found)?.state ?? 7)
  )

describe("the end of a handler", () => {
  it.effect.prop(
    "law: a failure, a bug and an interruption leave no trace, and none of them is taken for another",
    {
      code: FastCheck.nat(99),
      steps: FastCheck.array(step, { maxLength: 5 }),
      end: FastCheck.constantFrom(...End.literals)
    },
    ({ code, end, steps }) =>
      Effect.gen(function*() {
        const holding = yield* Deferred.make<void>()
        const { isInner, kind } = expectedOf(steps, end)
        yield* onMemory(layerOf(Deferred.succeed(holding, undefined)))(Effect.gen(function*() {
          const runtime = yield* AgentRuntime
          const client = yield* Machine.client
          const asking = yield* Effect.fork(client("m").Run({ code, steps, end }))
          if (kind === "hold") yield* Effect.zipRight(Deferred.await(holding), Fiber.interruptFork(asking))
          const exit = yield* Fiber.await(asking)
          expect(seen(exit)).toEqual(
            {
              success: { value: code },
              failure: { error: new Refused({ code }) },
              bug: { crashed: isInner ? "Inner" : "Machine" },
              interruption: "interrupted",
              hold: "interrupted"
            }[kind]
          )
          yield* runtime.stop(AgentAddress.make("Machine", "noted"))
          const last = steps.findLast((step) => step._tag === "Set")
          const tells = steps.filter((step) => step._tag === "Tell").length
          const [state, noted] = [yield* stateOf("m"), yield* stateOf("noted")]
          expect([state, noted]).toEqual(
            kind === "success" ? [last?.to ?? 7, 7 + tells] : [7, 7]
          )
          const { inbox } = yield* AgentStore
          expect(yield* inbox(AgentAddress.make("Machine", "noted"), 0, 9)).toEqual([])
          expect(yield* client("m").Run({ code: 1, steps: [], end: "succeed" })).toBe(1)
          const restarts = (yield* runtime.list).find(({ type }) => type === "Machine")?.restarts
          expect(restarts).toBe(kind === "bug" && !isInner ? 1 : 0)
        }))
      }),
    { fastCheck: { numRuns: 300 } }
  )

  it.effect.prop(
    "law: bugs past the intensity park the agent with the cause of the last; failures and interruptions never do",
    { end: FastCheck.constantFrom(...End.literals.filter((end) => end !== "hold")) },
    ({ end }) =>
      onMemory(layerOf(Effect.void))(Effect.gen(function*() {
        const client = yield* Machine.client
        const exits = yield* Effect.forEach([1, 2, 3, 4, 5], (code) =>
          Effect.exit(client("m").Run({ code, steps: [{ _tag: "Set", to: 1 }], end })))
        const isParked = kindOf(end) === "bug"
        const errors = exits.map((
          exit
        ) => (Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : Option.none()))
        const tags = errors.map((error) =>
          Option.getOrNull(error)?._tag ?? null
        )
        if (isParked) {
          expect(tags).toEqual([...Array.from({ length: 4 }, () => "AgentCrashed"), "AgentParked"])
          const { inspect } = yield* AgentRuntime
          const { cause, status } = Option.getOrThrow(yield* inspect(Machine, machine.id)).row
          const wanted = end === "invalid state" ? "does not match its schema" : bug(4)
          expect(status).toBe("parked")
          expect(cause).toContain(wanted)
          expect(String(Option.getOrNull(errors[4] ?? Option.none()))).toContain(wanted)
        } else {
          expect(new Set(tags)).toEqual(new Set([kindOf(end) === "failure" ? "Refused" : null]))
          expect(yield* client("m").Run({ code: 9, steps: [], end: "succeed" })).toBe(9)
        }
      })),
    { fastCheck: { numRuns: 30 } }
  )
})

const seen = (exit: Exit.Exit<number, unknown>): unknown => {
  if (Exit.isSuccess(exit)) return { value: exit.value }
  const failure = Option.getOrNull(Cause.failureOption(exit.cause))
  if (failure instanceof AgentCrashed) return { crashed: failure.address.type }
  if (failure !== null) return { error: failure }
  return Exit.isInterrupted(exit) && !Cause.isDie(exit.cause)
    ? "interrupted"
    : { raw: Cause.pretty(exit.cause) }
}
