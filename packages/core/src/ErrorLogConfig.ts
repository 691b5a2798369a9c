/**
 * The config of an error log says how much it keeps and when it alerts.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { Rules } from "./ErrorTally.ts"

/** How much is kept, and when to alert. */
export interface Options {
  /** How many errors of a subject are kept, from 1 to 100,000. Default: 1,000. */
  readonly historyMax?: number
  /** How long an error is kept, from 1 minute to 1,000 days. Default: 7 days. */
  readonly maxAge?: Duration.DurationInput
  /** How many errors of one kind within the window raise an alert, from 1 to 100. Default: 10. */
  readonly alertCount?: number
  /** From 1 second to 1 day. Default: 5 minutes. */
  readonly alertWindow?: Duration.DurationInput
}

/** An option of an error log is outside its bounds; durations are in milliseconds. */
export class ErrorLogOutOfRange
  extends Schema.TaggedError<ErrorLogOutOfRange>("@holdfast/core/ErrorLogOutOfRange")(
    "ErrorLogOutOfRange",
    {
      option: Schema.Literal("historyMax", "maxAge", "alertCount", "alertWindow"),
      value: Schema.Number,
      minimum: Schema.Number,
      maximum: Schema.Number
    }
  )
{
  override get message(): string {
    return `error log: ${this.option} must be a whole number from ${this.minimum} to ${this.maximum}, not ${this.value}`
  }
}

/** 1,000 errors and 7 days per subject, an alert at 10 of one kind in 5 minutes. */
export const defaults: Rules = {
  historyMax: 1_000,
  maxAgeMillis: Duration.toMillis("7 days"),
  alertCount: 10,
  alertWindowMillis: Duration.toMillis("5 minutes")
}

/** Checks options, and fills in the defaults. */
export const fromOptions = (options: Options): Either.Either<Rules, ErrorLogOutOfRange> => {
  const whole = (option: ErrorLogOutOfRange["option"], value: number, minimum: number, maximum: number) =>
    Number.isInteger(value) && value >= minimum && value <= maximum
      ? Either.right(value)
      : Either.left(new ErrorLogOutOfRange({ option, value, minimum, maximum }))
  const millis = (duration: Duration.DurationInput | undefined, otherwise: number) =>
    duration === undefined ? otherwise : Duration.toMillis(duration)
  const { alertCount = defaults.alertCount, historyMax = defaults.historyMax } = options
  return Either.all({
    historyMax: whole("historyMax", historyMax, 1, 100_000),
    maxAgeMillis: whole("maxAge", millis(options.maxAge, defaults.maxAgeMillis), 60_000, 86_400_000_000),
    alertCount: whole("alertCount", alertCount, 1, 100),
    alertWindowMillis: whole(
      "alertWindow",
      millis(options.alertWindow, defaults.alertWindowMillis),
      1_000,
      86_400_000
    )
  })
}
