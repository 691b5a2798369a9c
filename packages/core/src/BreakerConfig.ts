/**
 * When a circuit breaker opens, for how long, and what closes it again: the options a user writes, checked
 * and made into plain numbers.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

/**
 * When a breaker opens and how it closes. With neither `consecutiveFailures` nor `failureRate` it opens
 * after 5 failures in a row; with both, whichever comes first opens it.
 */
export interface Options {
  /** Opens after so many failures in a row, from 1 to 1,000. */
  readonly consecutiveFailures?: number
  /**
   * Opens when this share of the last calls failed: a `threshold` from 0.01 to 1, over the last `window`
   * outcomes (20; from 1 to 1,000), once there are `minimumCalls` (10, or `window` if less).
   */
  readonly failureRate?: {
    readonly threshold: number
    readonly window?: number
    readonly minimumCalls?: number
  }
  /** How long it stays open before it lets a probe through, from 1 millisecond to 24.8 days. Default: 30 seconds. */
  readonly openFor?: Duration.DurationInput
  /** How many probes may run at once while half-open, from 1 to 1,000. Default: 1. */
  readonly probes?: number
  /** How many successful probes close it, from 1 to 1,000. Default: 1. One failed probe opens it again. */
  readonly successesToClose?: number
}

/** Checked options. Whole numbers, except the threshold. */
export interface BreakerConfig {
  /** `undefined`: failures in a row do not open it. */
  readonly consecutiveFailures: number | undefined
  /** `undefined`: no share of failures opens it. */
  readonly failureRate: FailureRate | undefined
  readonly openMillis: number
  readonly probes: number
  readonly successesToClose: number
}

/** A share of failures among the last `window` outcomes, looked at from `minimumCalls` outcomes on. */
export interface FailureRate {
  readonly threshold: number
  readonly window: number
  readonly minimumCalls: number
}

/** A breaker that cannot be made: one of its options is outside its bounds. */
export class BreakerOutOfRange
  extends Schema.TaggedError<BreakerOutOfRange>("@holdfast/core/BreakerOutOfRange")("BreakerOutOfRange", {
    breaker: Schema.String,
    option: Schema.String,
    value: Schema.Number,
    minimum: Schema.Number,
    maximum: Schema.Number
  })
{
  override get message(): string {
    const kind = this.option === "failureRate.threshold" ? "number" : "whole number"
    return `circuit breaker "${this.breaker}": ${this.option} must be a ${kind} ` +
      `from ${this.minimum} to ${this.maximum}, not ${this.value}`
  }
}

/** The values of options left out. */
export const defaults = {
  consecutiveFailures: 5,
  window: 20,
  minimumCalls: 10,
  openFor: Duration.seconds(30),
  probes: 1,
  successesToClose: 1
}

/** The highest count an option may name. */
export const countMax = 1_000

/** The longest `openFor`, in milliseconds: the longest timer Node has. */
export const openMillisMax = 2 ** 31 - 1

/** Checks options, or names the first one that is out of range. */
export const fromOptions = (
  breaker: string,
  options: Options
): Either.Either<BreakerConfig, BreakerOutOfRange> => {
  const { consecutiveFailures, failureRate } = options
  const isDefault = consecutiveFailures === undefined && failureRate === undefined
  const within: Check = (option, value, maximum) =>
    Number.isInteger(value) && value >= 1 && value <= maximum
      ? Either.right(value)
      : Either.left(new BreakerOutOfRange({ breaker, option, value, minimum: 1, maximum }))
  const inARow = isDefault ? defaults.consecutiveFailures : consecutiveFailures
  return Either.all({
    consecutiveFailures: inARow === undefined
      ? Either.right(inARow)
      : within("consecutiveFailures", inARow, countMax),
    failureRate: failureRate === undefined ? Either.right(failureRate) : rate(breaker, within, failureRate),
    openMillis: within(
      "openFor",
      Math.ceil(Duration.toMillis(options.openFor ?? defaults.openFor)),
      openMillisMax
    ),
    probes: within("probes", options.probes ?? defaults.probes, countMax),
    successesToClose: within(
      "successesToClose",
      options.successesToClose ?? defaults.successesToClose,
      countMax
    )
  })
}

type Check = (option: string, value: number, maximum: number) => Either.Either<number, BreakerOutOfRange>

const rate = (
  breaker: string,
  within: Check,
  { minimumCalls, threshold, window = defaults.window }: NonNullable<Options["failureRate"]>
): Either.Either<FailureRate, BreakerOutOfRange> => {
  const option = "failureRate.threshold"
  return Either.all({
    threshold: threshold >= 0.01 && threshold <= 1
      ? Either.right(threshold)
      : Either.left(new BreakerOutOfRange({ breaker, option, value: threshold, minimum: 0.01, maximum: 1 })),
    window: within("failureRate.window", window, countMax),
    minimumCalls: within(
      "failureRate.minimumCalls",
      minimumCalls ?? Math.min(defaults.minimumCalls, window),
      window
    )
  })
}
