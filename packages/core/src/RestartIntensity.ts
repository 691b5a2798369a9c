/**
 * A restart intensity bounds how often a supervisor restarts its children, as a pure function of when it did.
 */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Backoff from "./Backoff.ts"
import { unsafeDuration } from "./internal/unsafeDuration.ts"

/** Allows at most `maxRestarts` restarts within any `periodMillis`. */
export interface RestartIntensity {
  readonly maxRestarts: number
  readonly periodMillis: number
}

/**
 * Is the intensity of one child, which counts its restarts alone. `backoff` delays them, the first by its
 * first delay. `exceeded` says what follows one restart too many: the supervisor gives up, or the child is
 * parked.
 */
export interface ChildIntensity extends RestartIntensity {
  readonly backoff: Backoff.Backoff | null
  readonly exceeded: "escalate" | "park"
}

/** Holds when the restarts that still count were made, oldest first, on a clock that never goes back. */
export type RestartTimes = ReadonlyArray<number>

/**
 * Says that a child needed a restart when its supervisor had made all that its intensity allows: `restarts`
 * within `periodMillis`. `lastCause` is how the child ended, rendered.
 *
 * Remedy: mend what ends the child, raise `maxRestarts`, or decide `restartAfter` on its failures.
 */
export class RestartIntensityExceeded
  extends Schema.TaggedError<RestartIntensityExceeded>()("RestartIntensityExceeded", {
    supervisor: Schema.String,
    child: Schema.String,
    restarts: Schema.Number,
    periodMillis: Schema.Number,
    lastCause: Schema.String
  })
{
  override get message(): string {
    const { child, lastCause, periodMillis, restarts, supervisor } = this
    const [summary = ""] = lastCause.split("\n", 1)
    const limit = `${restarts} restarts in ${periodMillis} ms`
    return `Supervisor "${supervisor}" gave up on child "${child}" after ${limit}`
      + (summary === "" ? "" : `: ${summary}`)
  }
}

/**
 * The restarts a supervisor may make within its period when it names no other number. **Source** Elixir
 * `Supervisor`.
 */
export const defaultMaxRestarts = 3

/** The period a supervisor counts its restarts in when it names no other. **Source** Elixir `Supervisor`. */
export const defaultPeriod: Duration.Duration = Duration.seconds(5)

/**
 * Makes a restart intensity. Throws on a `maxRestarts` that is no natural number and on a period that is not
 * positive.
 */
export const unsafeMake = (
  maxRestarts: number = defaultMaxRestarts,
  period: Duration.DurationInput = defaultPeriod
): RestartIntensity => {
  const periodMillis = Duration.toMillis(unsafeDuration("period", period))
  if (!Number.isSafeInteger(maxRestarts) || maxRestarts < 0) {
    throw new RangeError(`maxRestarts must be a natural number, not ${maxRestarts}`)
  }
  if (periodMillis <= 0) throw new RangeError(`period must be longer than nothing, not ${String(period)}`)
  return { maxRestarts, periodMillis }
}

/** Makes the intensity of one child. Throws as {@link unsafeMake} does. `exceeded` is `escalate` by default. */
export const unsafeMakeChild = (options: {
  readonly maxRestarts: number
  readonly period: Duration.DurationInput
  readonly backoff?: Backoff.Backoff
  readonly exceeded?: "escalate" | "park"
}): ChildIntensity => ({
  ...unsafeMake(options.maxRestarts, options.period),
  backoff: options.backoff ?? null,
  exceeded: options.exceeded ?? "escalate"
})

/**
 * Decides on one more restart at `atMillis`: the times that count from then on, or none when it is one too
 * many.
 *
 * A restart made exactly a period ago still counts. What counts no longer is dropped, so at most
 * `maxRestarts` times are held.
 *
 * **Source** OTP `supervisor`, `add_restart`.
 */
export const admit = (
  self: RestartIntensity,
  restarts: RestartTimes,
  atMillis: number
): Option.Option<RestartTimes> => {
  const counting = Arr.dropWhile(restarts, (time) => time < atMillis - self.periodMillis)
  return counting.length < self.maxRestarts ? Option.some([...counting, atMillis]) : Option.none()
}
