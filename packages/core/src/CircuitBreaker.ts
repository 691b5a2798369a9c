/**
 * A breaker that stops calling what mostly fails, looks after a while whether it is well again, and
 * lets calls through once it is. Calls run in the fiber of their caller; the breaker owns no fiber.
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Record from "effect/Record"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Types from "effect/Types"
import * as BreakerConfig from "./BreakerConfig.ts"
import * as BreakerState from "./BreakerState.ts"
import { monotonicMillis } from "./internal/monotonicMillis.ts"

/** How the outcome of a call counts: `ignore` counts neither way. */
export type Outcome = BreakerState.Outcome

/**
 * How a protected effect's outcomes count, where it is not the usual way: a success as a success, a typed failure
 * as a failure. That a defect is a failure, and an interruption is nothing, cannot be changed.
 */
export interface Outcomes<A, E> {
  /** Per error tag. Tags left out count as failures. */
  readonly errors?: ErrorOutcomes<Types.Tags<E>>
  /** For effects whose success may be a failure all the same, such as a command with its exit code. */
  readonly success?: (value: A) => Outcome
}

/** An outcome per error tag; none where there is no tag. */
export type ErrorOutcomes<Tags extends string> = [Tags] extends [never] ? { readonly [tag: string]: never }
  : { readonly [Tag in Tags]?: Outcome }

/** Leave to make one call. Whoever holds it must report, once, on every way out; later reports are ignored. */
export interface Permit {
  readonly report: (outcome: Outcome) => Effect.Effect<void>
}

/** What a breaker shows of itself. */
export interface Status {
  readonly name: string
  readonly state: BreakerState.State["_tag"]
  /** Failures since the last success. 0 unless closed. */
  readonly consecutiveFailures: number
  /** Share of failures, from 0 to 1, among the last outcomes. 0 unless closed, and without `failureRate`. */
  readonly failureRate: number
  /** Probes that run now. 0 unless half-open. */
  readonly probing: number
  /** How long a call has to wait. Zero when it may go now. */
  readonly retryAfter: Duration.Duration
}

/** A way to run an effect behind a breaker, with or without saying how its outcomes count. */
export interface Protect<EOpen> {
  (breaker: CircuitBreaker): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | EOpen, R>
  <A, E>(
    breaker: CircuitBreaker,
    outcomes: Outcomes<A, E>
  ): <R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | EOpen, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    breaker: CircuitBreaker,
    outcomes?: Outcomes<A, E>
  ): Effect.Effect<A, E | EOpen, R>
}

/** A running breaker. */
export interface CircuitBreaker {
  readonly name: string
  /**
   * Gives leave for one call, or fails at once. For `Effect.acquireUseRelease`, where `protect` and
   * `protectWhenReady` do not fit.
   */
  readonly acquire: Effect.Effect<Permit, CircuitOpen>
  /** Waits until a call may go. It reserves nothing: somebody else may be first. */
  readonly awaitReady: Effect.Effect<void>
  readonly status: Effect.Effect<Status>
  /**
   * The status now, then the status after each change of state. A subscriber that falls behind more than
   * 16 changes misses the oldest.
   */
  readonly changes: Stream.Stream<Status>
  /** Opens the breaker as failures would: after `openFor` it probes. */
  readonly trip: Effect.Effect<void>
  /** Closes the breaker and forgets what it has counted. */
  readonly reset: Effect.Effect<void>
}

/** The breaker lets no call through. After `retryAfter` it may. */
export class CircuitOpen
  extends Schema.TaggedError<CircuitOpen>("@holdfast/core/CircuitOpen")("CircuitOpen", {
    breaker: Schema.String,
    retryAfter: Schema.Duration
  })
{
  override get message(): string {
    return `circuit breaker "${this.breaker}" is open: try again in ${Duration.format(this.retryAfter)}`
  }
}

/**
 * Makes a breaker, closed.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as CircuitBreaker from "@holdfast/core/CircuitBreaker"
 *
 * class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", {}) {}
 * class NoSuchUser extends Schema.TaggedError<NoSuchUser>()("NoSuchUser", {}) {}
 * declare const lookUp: (id: string) => Effect.Effect<string, Unreachable | NoSuchUser>
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make("users", { failureRate: { threshold: 0.5 }, openFor: "10 seconds" })
 *   return yield* lookUp("ann").pipe(CircuitBreaker.protect(breaker, { errors: { NoSuchUser: "success" } }))
 * })
 */
export const make = (
  name: string,
  options: BreakerConfig.Options = {}
): Effect.Effect<CircuitBreaker, BreakerConfig.BreakerOutOfRange> =>
  Effect.map(BreakerConfig.fromOptions(name, options), (config) => {
    const breaker: Breaker = {
      name,
      config,
      state: BreakerState.initial,
      history: [],
      changed: 0,
      moved: Effect.unsafeMakeLatch()
    }
    return {
      name,
      acquire: acquire(breaker),
      awaitReady: awaitReady(breaker),
      status: withNow((millis) => Effect.succeed(statusAt(breaker, millis))),
      changes: changes(breaker),
      trip: moving(breaker, { _tag: "Trip" }),
      reset: moving(breaker, { _tag: "Reset" })
    }
  })

/** Runs an effect if the breaker lets it through, else fails with `CircuitOpen`; its outcome counts. */
export const protect: Protect<CircuitOpen> = protecting((breaker) => breaker.acquire)

/**
 * Runs an effect as soon as the breaker lets it through; its outcome counts. The waiting can be interrupted. Who of
 * several that wait goes first is not said.
 */
export const protectWhenReady: Protect<never> = protecting(acquireWhenReady)

interface Breaker {
  readonly name: string
  readonly config: BreakerConfig.BreakerConfig
  state: BreakerState.State
  /** The status after each of the last changes, oldest first. */
  readonly history: Array<Status>
  /** How many changes of state there were. */
  changed: number
  /** Opened, and replaced, whenever a waiting call may go or the state changed. */
  moved: Effect.Latch
}

const historyMax = 16

const withNow = <A, E>(f: (millis: number) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.clockWith((clock) => f(monotonicMillis(clock)))

const moving = (breaker: Breaker, event: BreakerState.Event): Effect.Effect<void> =>
  withNow((millis) => {
    move(breaker, event, millis)
    return Effect.void
  })

const move = (breaker: Breaker, event: BreakerState.Event, millis: number): void => {
  const { config, state: before } = breaker
  const after = BreakerState.transition(config, before, event, millis)
  breaker.state = after
  if (after._tag !== before._tag) {
    breaker.changed += 1
    breaker.history.push(statusAt(breaker, millis))
    if (breaker.history.length > historyMax) breaker.history.shift()
  }
  const isReady = BreakerState.waitMillis(config, after, millis) === 0
  const wasReady = BreakerState.waitMillis(config, before, millis) === 0
  if (after._tag !== before._tag || (isReady && !wasReady)) {
    breaker.moved.unsafeOpen()
    breaker.moved = Effect.unsafeMakeLatch()
  }
}

const statusAt = ({ config, name, state }: Breaker, millis: number): Status => ({
  name,
  state: state._tag,
  consecutiveFailures: state._tag === "Closed" ? state.consecutiveFailures : 0,
  failureRate: state._tag === "Closed" && state.recent.length > 0 ? state.failures / state.recent.length : 0,
  probing: state._tag === "HalfOpen" ? state.probing : 0,
  retryAfter: Duration.millis(BreakerState.waitMillis(config, state, millis))
})

const acquire = (breaker: Breaker): Effect.Effect<Permit, CircuitOpen> =>
  withNow((millis) => {
    const waitMillis = BreakerState.waitMillis(breaker.config, breaker.state, millis)
    if (waitMillis > 0) {
      return new CircuitOpen({ breaker: breaker.name, retryAfter: Duration.millis(waitMillis) })
    }
    move(breaker, { _tag: "Call" }, millis)
    return Effect.succeed(permitOf(breaker, breaker.state.era))
  })

const permitOf = (breaker: Breaker, era: number): Permit => {
  let isReported = false
  return {
    report: (outcome) =>
      withNow((millis) => {
        if (!isReported) move(breaker, { _tag: "Outcome", era, outcome }, millis)
        isReported = true
        return Effect.void
      })
  }
}

const awaitReady = (breaker: Breaker): Effect.Effect<void> =>
  withNow((millis) => {
    const waitMillis = BreakerState.waitMillis(breaker.config, breaker.state, millis)
    return waitMillis === 0
      ? Effect.void
      : Effect.zipRight(Effect.raceFirst(Effect.sleep(waitMillis), breaker.moved.await), awaitReady(breaker))
  })

const changes = (breaker: Breaker): Stream.Stream<Status> =>
  Stream.unwrap(withNow((millis) => {
    const later = Stream.unfoldChunkEffect(breaker.changed, (seen) => changesAfter(breaker, seen))
    return Effect.succeed(Stream.concat(Stream.succeed(statusAt(breaker, millis)), later))
  }))

const changesAfter = (
  breaker: Breaker,
  seen: number
): Effect.Effect<Option.Option<[Chunk.Chunk<Status>, number]>> =>
  Effect.suspend(() =>
    breaker.changed === seen
      ? Effect.zipRight(breaker.moved.await, changesAfter(breaker, seen))
      : Effect.succeedSome([
        Chunk.unsafeFromArray(breaker.history.slice(seen - breaker.changed)),
        breaker.changed
      ])
  )

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** A permit is taken where nothing can interrupt, so that none is lost between being taken and being reported. */
function protecting<EOpen>(
  admission: (breaker: CircuitBreaker, restore: Restore) => Effect.Effect<Permit, EOpen>
): Protect<EOpen> {
  return dual(
    (args) => Effect.isEffect(args[0]),
    <A, E, R>(self: Effect.Effect<A, E, R>, breaker: CircuitBreaker, outcomes?: Outcomes<A, E>) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(admission(breaker, restore), (permit) => reporting(restore(self), permit, outcomes))
      )
  )
}

function acquireWhenReady(breaker: CircuitBreaker, restore: Restore): Effect.Effect<Permit> {
  return Effect.catchTag(
    breaker.acquire,
    "CircuitOpen",
    () => Effect.zipRight(restore(breaker.awaitReady), acquireWhenReady(breaker, restore))
  )
}

/** A classifier that throws is a defect of the call: it counts as a failure, and the permit still comes back. */
const reporting = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  permit: Permit,
  outcomes: Outcomes<A, E> | undefined
): Effect.Effect<A, E, R> =>
  Effect.onExit(self, (exit) =>
    Effect.suspend(() => permit.report(outcomeOf(exit, outcomes))).pipe(
      Effect.onError(() => permit.report("failure"))
    ))

const outcomeOf = <A, E>(exit: Exit.Exit<A, E>, outcomes: Outcomes<A, E> | undefined): Outcome =>
  Exit.match(exit, {
    onSuccess: (value) => outcomes?.success?.(value) ?? "success",
    onFailure: (cause) =>
      Cause.isDie(cause)
        ? "failure"
        : Option.match(Cause.failureOption(cause), {
          onNone: () => "ignore",
          onSome: (error) => errorOutcome(error, outcomes?.errors ?? {})
        })
  })

const errorOutcome = (error: unknown, errors: { readonly [tag: string]: Outcome | undefined }): Outcome =>
  Predicate.hasProperty(error, "_tag") && Predicate.isString(error._tag)
    ? Option.getOrUndefined(Record.get(errors, error._tag)) ?? "failure"
    : "failure"
