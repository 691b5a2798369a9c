/**
 * How long to wait before trying again, as plain data: a policy can be stored beside a task, and
 * the same function decides the delay of a retry in memory (`Retry`) and of one in a durable queue.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

/** The longest delay a policy can name, in milliseconds: the longest timer Node has, 24.8 days. */
export const delayMillisMax = 2 ** 31 - 1

/** The first delay of `exponential`, unless given: 1 second. */
export const defaultBase = Duration.seconds(1)

/** The longest delay of `exponential` and `linear`, unless given: 5 minutes. */
export const defaultCap = Duration.minutes(5)

const Millis = Schema.Number.pipe(Schema.int(), Schema.between(0, delayMillisMax))

/**
 * Which share of a delay is left to chance, so that callers that failed together do not come back together.
 *
 * - `none`: the delay as calculated
 * - `equal` (the default): from half of it to all of it. A retry never comes at once: retries are
 *   counted, and one spent without waiting is wasted.
 * - `full`: from nothing to all of it. Spreads a great many callers best.
 *
 * **Source** AWS Architecture Blog, "Exponential Backoff And Jitter".
 */
export const Jitter = Schema.Literal("none", "equal", "full")

/** Which share of a delay is left to chance. */
export type Jitter = typeof Jitter.Type

/** Delays of base, 2 x base, 4 x base, ... up to the cap. */
export const Exponential = Schema.TaggedStruct("Exponential", {
  baseMillis: Millis,
  capMillis: Millis,
  jitter: Jitter
})

/** Delays of step, 2 x step, 3 x step, ... up to the cap. */
export const Linear = Schema.TaggedStruct("Linear", { stepMillis: Millis, capMillis: Millis, jitter: Jitter })

/** The same delay every time. */
export const Fixed = Schema.TaggedStruct("Fixed", { delayMillis: Millis })

/** A policy in the form in which it is stored. All times are whole milliseconds. */
export const Backoff = Schema.Union(Exponential, Linear, Fixed)

/** A policy for the delays between attempts. */
export type Backoff = typeof Backoff.Type

/** Doubles the delay each time: `base` (1 second), then twice that, up to `cap` (5 minutes), with `equal` jitter. */
export const exponential = (options?: {
  readonly base?: Duration.DurationInput
  readonly cap?: Duration.DurationInput
  readonly jitter?: Jitter
}): Backoff => ({
  _tag: "Exponential",
  baseMillis: toMillis(options?.base ?? defaultBase),
  capMillis: toMillis(options?.cap ?? defaultCap),
  jitter: options?.jitter ?? "equal"
})

/** Lengthens the delay by `step` (1 second) each time, up to `cap` (5 minutes), with `equal` jitter. */
export const linear = (options?: {
  readonly step?: Duration.DurationInput
  readonly cap?: Duration.DurationInput
  readonly jitter?: Jitter
}): Backoff => ({
  _tag: "Linear",
  stepMillis: toMillis(options?.step ?? defaultBase),
  capMillis: toMillis(options?.cap ?? defaultCap),
  jitter: options?.jitter ?? "equal"
})

/** Waits the same time before every retry. */
export const fixed = (delay: Duration.DurationInput): Backoff => ({
  _tag: "Fixed",
  delayMillis: toMillis(delay)
})

/** Retries without waiting. */
export const immediate: Backoff = { _tag: "Fixed", delayMillis: 0 }

/**
 * Calculates the delay before an attempt, in whole milliseconds.
 *
 * `attempt` is the number of the attempt about to be made: the first is 1 and waits for nothing, the
 * second waits the policy's first delay. `random01` is a number in [0, 1); the same number gives the same delay.
 *
 * @example
 * import * as Backoff from "@holdfast/core/Backoff"
 *
 * const policy = Backoff.exponential({ base: "1 second", cap: "1 minute", jitter: "none" })
 * Backoff.delayMillis(policy, 2, 0) // 1_000
 * Backoff.delayMillis(policy, 5, 0) // 8_000
 * Backoff.delayMillis(policy, 9, 0) // 60_000
 */
export const delayMillis = (policy: Backoff, attempt: number, random01: number): number => {
  if (!(attempt > 1)) return 0
  const retry = attempt - 1
  switch (policy._tag) {
    case "Exponential": {
      // A double ends at 2 ** 1023, where 0 x Infinity would be NaN.
      const factor = 2 ** Math.min(retry - 1, 1023)
      return jittered(Math.min(policy.baseMillis * factor, policy.capMillis), policy.jitter, random01)
    }
    case "Linear":
      return jittered(Math.min(policy.stepMillis * retry, policy.capMillis), policy.jitter, random01)
    case "Fixed":
      return policy.delayMillis
  }
}

const jittered = (millis: number, jitter: Jitter, random01: number): number => {
  switch (jitter) {
    case "none":
      return millis
    case "equal":
      return Math.round(millis / 2 + random01 * millis / 2)
    case "full":
      return Math.round(random01 * millis)
  }
}

const toMillis = (duration: Duration.DurationInput): number =>
  Math.min(Math.round(Duration.toMillis(duration)), delayMillisMax)
