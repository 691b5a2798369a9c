/**
 * Trying again, where the error's tag says that it may help.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import type * as Types from "effect/Types"
import * as Backoff from "./Backoff.ts"

/** What is retried, how often, and after which delays. */
export interface Options<E> {
  /** The tags of the errors that are retried. Every other error, and every defect, ends the effect at once. */
  readonly on: NonEmptyReadonlyArray<Types.Tags<E>>
  /** The delays between attempts. Default: `Backoff.exponential()`. */
  readonly backoff?: Backoff.Backoff
  /** How many times the effect runs again after its first failure. Default: 3. */
  readonly retries?: number
}

/** How many times an effect runs again, unless said otherwise. */
export const defaultRetries = 3

/**
 * Turns a policy into a schedule whose output is the delay it chose.
 *
 * The schedule never ends by itself: bound it with `Schedule.recurs`. When its input carries a
 * `retryAfter: Duration`, as `RateLimited` and `CircuitOpen` do, the delay is at least that long (and
 * at most 24.8 days). It draws its jitter from `Random`.
 */
export const schedule = (backoff: Backoff.Backoff): Schedule.Schedule<Duration.Duration> =>
  Schedule.makeWithState(2, (now, input, attempt) =>
    Effect.map(Random.next, (random01) => {
      const millis = Math.max(Backoff.delayMillis(backoff, attempt, random01), retryAfterMillis(input))
      const next = ScheduleDecision.continueWith(ScheduleInterval.after(now + millis))
      return [attempt + 1, Duration.millis(millis), next]
    }))

/**
 * Runs an effect again when it fails with one of the tags in `on`.
 *
 * After the last retry the effect fails with the last error. A defect is never retried, nor is a failure that
 * arrived together with a defect: the defect is what comes out.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as Backoff from "@holdfast/core/Backoff"
 * import * as Retry from "@holdfast/core/Retry"
 *
 * class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", {}) {}
 * class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}
 * declare const charge: Effect.Effect<string, Unreachable | Refused>
 *
 * const receipt = charge.pipe(
 *   Retry.retry({ on: ["Unreachable"], backoff: Backoff.exponential({ base: "200 millis" }), retries: 5 })
 * )
 */
export const retry: {
  <E>(options: Options<E>): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, options: Options<E>): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, options: Options<E>): Effect.Effect<A, E, R> => {
  const tags = new Set<string>(options.on)
  return Effect.retry(Effect.tapErrorCause(self, defectsAlone), {
    schedule: schedule(options.backoff ?? Backoff.exponential()),
    times: options.retries ?? defaultRetries,
    while: (error) =>
      Predicate.hasProperty(error, "_tag") && Predicate.isString(error._tag) && tags.has(error._tag)
  })
})

/** `Effect.retry` looks at the failure of a cause alone, and would run again past a defect beside it. */
const defectsAlone = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Option.match(Cause.keepDefects(cause), { onNone: () => Effect.void, onSome: Effect.failCause })

const retryAfterMillis = (error: unknown): number =>
  Predicate.hasProperty(error, "retryAfter") && Duration.isDuration(error.retryAfter)
    ? Math.min(Math.ceil(Duration.toMillis(error.retryAfter)), Backoff.delayMillisMax)
    : 0
