import { describe, expect, it } from "@effect/vitest"
import type * as BreakerConfig from "@holdfast/core/BreakerConfig"
import * as BreakerState from "@holdfast/core/BreakerState"
import * as CircuitBreaker from "@holdfast/core/CircuitBreaker"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as TestClock from "effect/TestClock"

type Command =
  | { readonly _tag: "Call" }
  | { readonly _tag: "Report"; readonly index: number; readonly outcome: BreakerState.Outcome }
  | { readonly _tag: "Advance"; readonly millis: number }
  | { readonly _tag: "Trip" }
  | { readonly _tag: "Reset" }

interface Seen {
  readonly state: BreakerState.State["_tag"]
  readonly waitMillis: number
}

/** A breaker, or a model of one, as the commands see it. A refused call has no permit. */
interface System<Permit> {
  readonly call: Effect.Effect<Permit | undefined>
  readonly report: (permit: Permit, outcome: BreakerState.Outcome) => Effect.Effect<void>
  readonly advance: (millis: number) => Effect.Effect<void>
  readonly trip: Effect.Effect<void>
  readonly reset: Effect.Effect<void>
  readonly seen: Effect.Effect<Seen>
}

const run = <Permit>(system: System<Permit>, commands: ReadonlyArray<Command>) => {
  const permits: Array<Permit> = []
  const step = (command: Command): Effect.Effect<void> => {
    switch (command._tag) {
      case "Call":
        return Effect.map(system.call, (permit) => {
          if (permit !== undefined) permits.push(permit)
        })
      case "Report": {
        const [permit] = permits.splice(command.index % Math.max(1, permits.length), 1)
        return permit === undefined ? Effect.void : system.report(permit, command.outcome)
      }
      case "Advance":
        return system.advance(command.millis)
      case "Trip":
        return system.trip
      case "Reset":
        return system.reset
    }
  }
  return Effect.forEach(commands, (command) => Effect.zipRight(step(command), system.seen))
}

/** The rules once more, over the whole log of an era instead of over counters. */
const model = (config: BreakerConfig.BreakerConfig): System<symbol> => {
  let now = 0
  let era = Symbol("Closed")
  let until = 0
  let running = 0
  let log: ReadonlyArray<"success" | "failure"> = []
  const become = (state: Seen["state"]) => {
    era = Symbol(state)
    log = []
    running = 0
    if (state === "Open") until = now + config.openMillis
  }
  const waitMillis = () =>
    era.description === "Open"
      ? Math.max(0, until - now)
      : era.description === "HalfOpen" && running >= config.probes
      ? config.openMillis
      : 0
  const inARow = () => log.length - 1 - log.lastIndexOf("success")
  const isTooMany = () => {
    const last = log.slice(-(config.failureRate?.window ?? 1))
    const share = last.filter((outcome) => outcome === "failure").length / last.length
    return inARow() >= (config.consecutiveFailures ?? Infinity) ||
      (config.failureRate !== undefined && last.length >= config.failureRate.minimumCalls &&
        share >= config.failureRate.threshold)
  }
  const settle = (outcome: BreakerState.Outcome) => {
    running -= 1
    if (outcome === "ignore") return
    log = [...log, outcome]
    if (era.description === "HalfOpen") {
      if (outcome === "failure") become("Open")
      else if (log.length >= config.successesToClose) become("Closed")
    } else if (outcome === "failure" && isTooMany()) become("Open")
  }
  return {
    call: Effect.sync(() => {
      if (waitMillis() > 0) return undefined
      if (era.description === "Open") become("HalfOpen")
      running += 1
      return era
    }),
    report: (permit, outcome) =>
      Effect.sync(() => {
        if (permit === era) settle(outcome)
      }),
    advance: (millis) =>
      Effect.sync(() => {
        now += millis
      }),
    trip: Effect.sync(() => become("Open")),
    reset: Effect.sync(() => become("Closed")),
    seen: Effect.sync(() => ({ state: era.description as Seen["state"], waitMillis: waitMillis() }))
  }
}

const pure = (config: BreakerConfig.BreakerConfig): System<number> => {
  let state: BreakerState.State = BreakerState.initial
  let now = 0
  const move = (event: BreakerState.Event) => {
    state = BreakerState.transition(config, state, event, now)
  }
  return {
    call: Effect.sync(() => {
      if (BreakerState.waitMillis(config, state, now) > 0) return undefined
      move({ _tag: "Call" })
      return state.era
    }),
    report: (era, outcome) => Effect.sync(() => move({ _tag: "Outcome", era, outcome })),
    advance: (millis) =>
      Effect.sync(() => {
        now += millis
      }),
    trip: Effect.sync(() => move({ _tag: "Trip" })),
    reset: Effect.sync(() => move({ _tag: "Reset" })),
    seen: Effect.sync(() => ({
      state: state._tag,
      waitMillis: BreakerState.waitMillis(config, state, now)
    }))
  }
}

const running = (breaker: CircuitBreaker.CircuitBreaker): System<CircuitBreaker.Permit> => ({
  call: Effect.map(Effect.either(breaker.acquire), (permit) => Either.getOrUndefined(permit)),
  report: (permit, outcome) => permit.report(outcome),
  advance: (millis) => TestClock.adjust(millis),
  trip: breaker.trip,
  reset: breaker.reset,
  seen: Effect.map(breaker.status, ({ retryAfter, state }) => ({
    state,
    waitMillis: Duration.toMillis(retryAfter)
  }))
})

const count = FastCheck.integer({ min: 1, max: 4 })

const failureRate = FastCheck.record({
  threshold: FastCheck.constantFrom(0.01, 0.25, 0.3, 0.5, 0.9, 1),
  window: FastCheck.integer({ min: 1, max: 8 }),
  share: FastCheck.double({ min: 0, max: 1, noNaN: true })
}).map(({ share, threshold, window }) => ({
  threshold,
  window,
  minimumCalls: Math.max(1, Math.round(window * share))
}))

const none = FastCheck.constant(undefined)

const rest = {
  openMillis: FastCheck.integer({ min: 1, max: 2_000 }),
  probes: count,
  successesToClose: count
}

const config: FastCheck.Arbitrary<BreakerConfig.BreakerConfig> = FastCheck.oneof(
  FastCheck.record({ ...rest, consecutiveFailures: count, failureRate: none }),
  FastCheck.record({ ...rest, consecutiveFailures: none, failureRate }),
  FastCheck.record({ ...rest, consecutiveFailures: count, failureRate })
)

const commands = (maxLength: number): FastCheck.Arbitrary<ReadonlyArray<Command>> =>
  FastCheck.array(
    FastCheck.oneof(
      { weight: 12, arbitrary: FastCheck.constant<Command>({ _tag: "Call" }) },
      {
        weight: 12,
        arbitrary: FastCheck.record({
          _tag: FastCheck.constant("Report" as const),
          index: FastCheck.nat(20),
          outcome: FastCheck.constantFrom<Array<BreakerState.Outcome>>(
            "success",
            "failure",
            "failure",
            "ignore"
          )
        })
      },
      {
        weight: 4,
        arbitrary: FastCheck.record({
          _tag: FastCheck.constant("Advance" as const),
          millis: FastCheck.integer({ min: 1, max: 2_500 })
        })
      },
      { weight: 1, arbitrary: FastCheck.constant<Command>({ _tag: "Trip" }) },
      { weight: 1, arbitrary: FastCheck.constant<Command>({ _tag: "Reset" }) }
    ),
    { maxLength, size: "max" }
  )

describe("BreakerState", () => {
  it.effect.prop(
    "law: the transitions are those of the model, whatever happens when",
    { config, commands: commands(80) },
    ({ commands, config }) =>
      Effect.gen(function*() {
        expect(yield* run(pure(config), commands)).toEqual(yield* run(model(config), commands))
      }),
    { fastCheck: { numRuns: 500 } }
  )

  it.effect.prop(
    "law: a running breaker does as the model does",
    { config, commands: commands(40) },
    ({ commands, config: { consecutiveFailures, failureRate, openMillis, ...rest } }) =>
      Effect.gen(function*() {
        const breaker = yield* CircuitBreaker.make("test", {
          ...rest,
          openFor: openMillis,
          ...(consecutiveFailures === undefined ? {} : { consecutiveFailures }),
          ...(failureRate === undefined ? {} : { failureRate })
        })
        const expected = run(model({ consecutiveFailures, failureRate, openMillis, ...rest }), commands)
        expect(yield* run(running(breaker), commands)).toEqual(yield* expected)
      }),
    { fastCheck: { numRuns: 25 } }
  )

  it("a call that has to wait changes nothing", () => {
    const config = {
      consecutiveFailures: 1,
      failureRate: undefined,
      openMillis: 10,
      probes: 1,
      successesToClose: 1
    }
    const open = BreakerState.transition(config, BreakerState.initial, { _tag: "Trip" }, 0)
    expect(BreakerState.transition(config, open, { _tag: "Call" }, 9)).toBe(open)
    const halfOpen = BreakerState.transition(config, open, { _tag: "Call" }, 10)
    expect(BreakerState.transition(config, halfOpen, { _tag: "Call" }, 10)).toBe(halfOpen)
  })
})
