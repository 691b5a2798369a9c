/**
 * A timing says when a schedule is due: at an interval, by a cron expression, at an instant, or after a while.
 */
import * as Cron from "effect/Cron"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

/**
 * Is due again and again, `intervalMillis` apart. Without `startAtMillis` it is first due one interval after it is
 * scheduled.
 */
export interface Every {
  readonly _tag: "Every"
  readonly intervalMillis: number
  readonly startAtMillis: number | undefined
}

/** Is due when a cron expression says so. */
export interface CronTiming {
  readonly _tag: "Cron"
  readonly expression: string
  readonly timeZone: string
  readonly cron: Cron.Cron
}

/** Is due once, at an instant of the wall clock. */
export interface At {
  readonly _tag: "At"
  readonly atMillis: number
}

/** Is due once, so long after it is scheduled. */
export interface After {
  readonly _tag: "After"
  readonly delayMillis: number
}

/** When a schedule is due. Times are whole milliseconds, instants are since the epoch. */
export type Timing = Every | CronTiming | At | After

/** A duration that no timer can keep. Give a whole number of milliseconds within the bounds. */
export class TimingOutOfRange
  extends Schema.TaggedError<TimingOutOfRange>("@holdfast/core/TimingOutOfRange")("TimingOutOfRange", {
    option: Schema.Literal("every", "after", "jitter"),
    value: Schema.Number,
    minimum: Schema.Number,
    maximum: Schema.Number
  })
{
  override get message(): string {
    return `${this.option} must be a whole number of milliseconds from ${this.minimum} to ${this.maximum}, ` +
      `not ${this.value}`
  }
}

/** A text that is not a cron expression, or one that is never due. Write five fields, or six with seconds first. */
export class InvalidCron extends Schema.TaggedError<InvalidCron>("@holdfast/core/InvalidCron")(
  "InvalidCron",
  { expression: Schema.String, reason: Schema.String }
) {
  override get message(): string {
    return `"${this.expression}" is not a cron expression that can be scheduled: ${this.reason}`
  }
}

/** A text that names no time zone. Write an IANA name such as Europe/Berlin, or an offset such as +02:00. */
export class InvalidTimeZone extends Schema.TaggedError<InvalidTimeZone>("@holdfast/core/InvalidTimeZone")(
  "InvalidTimeZone",
  { timeZone: Schema.String }
) {
  override get message(): string {
    return `"${this.timeZone}" is not a time zone: write a name such as Europe/Berlin or an offset such as +02:00`
  }
}

/** The longest interval, delay and jitter: 100 years of 365.25 days. */
export const durationMax = Duration.days(36_525)

/**
 * Is due at the start and then at every whole number of intervals after it, however long runs take: it never drifts.
 *
 * The start is `startAt`, or one interval after it is scheduled. With `startAt` it follows the wall clock; without, it
 * counts the time that passes, whatever the wall clock is set to. The interval is from 1 millisecond to `durationMax`.
 *
 * @example
 * import * as DateTime from "effect/DateTime"
 * import * as Timing from "@holdfast/core/Timing"
 *
 * Timing.every("10 seconds")
 * Timing.every("1 day", { startAt: DateTime.unsafeMake("2026-01-01T03:00:00Z") })
 */
export const every = (interval: Duration.DurationInput, options?: {
  readonly startAt?: DateTime.DateTime
}): Either.Either<Every, TimingOutOfRange> =>
  Either.map(millisOf("every", interval), (intervalMillis) => ({
    _tag: "Every",
    intervalMillis,
    startAtMillis: options?.startAt === undefined ? undefined : DateTime.toEpochMillis(options.startAt)
  }))

/**
 * Is due by a cron expression of five fields, or of six with seconds first, read in a time zone (UTC).
 *
 * A local time that a clock change skips is due when the clock has changed; one that comes twice is due once.
 *
 * **Source** `effect/Cron`, which finds the times.
 *
 * @example
 * import * as Timing from "@holdfast/core/Timing"
 *
 * Timing.cron("30 2 * * mon-fri", "Europe/Berlin")
 * Timing.cron("every day") // Left(InvalidCron)
 */
export const cron = (
  expression: string,
  timeZone = "UTC"
): Either.Either<CronTiming, InvalidCron | InvalidTimeZone> =>
  Either.gen(function*() {
    const zone = yield* Either.fromOption(
      DateTime.zoneFromString(timeZone),
      () => new InvalidTimeZone({ timeZone })
    )
    const cron = yield* Either.mapLeft(
      Cron.parse(expression, zone),
      ({ message }) => new InvalidCron({ expression, reason: message })
    )
    yield* Either.try({
      try: () => Cron.next(cron, 0),
      catch: () => new InvalidCron({ expression, reason: "no day of any year matches it" })
    })
    return { _tag: "Cron", expression, timeZone, cron }
  })

/** Is due once, at an instant. One in the past is late: the schedule's `missed` says whether it still runs. */
export const at = (instant: DateTime.DateTime): At => ({
  _tag: "At",
  atMillis: DateTime.toEpochMillis(instant)
})

/**
 * Is due once, so long after it is scheduled, whatever the wall clock is set to meanwhile. The delay is from 1
 * millisecond to `durationMax`.
 */
export const after = (delay: Duration.DurationInput): Either.Either<After, TimingOutOfRange> =>
  Either.map(millisOf("after", delay), (delayMillis) => ({ _tag: "After", delayMillis }))

/** Reads a jitter for a timing in milliseconds: shorter than the interval of `every`, so that runs keep their order. */
export const jitterMillis = (
  timing: Timing,
  jitter: Duration.DurationInput | undefined
): Either.Either<number, TimingOutOfRange> =>
  jitter === undefined
    ? Either.right(0)
    : millisOf("jitter", jitter, timing._tag === "Every" ? timing.intervalMillis - 1 : undefined)

/** Writes a timing as text, the same text for the same timing. */
export const format = (timing: Timing): string => {
  switch (timing._tag) {
    case "Every": {
      const start = timing.startAtMillis === undefined ? "" : ` from ${iso(timing.startAtMillis)}`
      return `every ${timing.intervalMillis}ms${start}`
    }
    case "Cron":
      return `cron ${timing.expression} in ${timing.timeZone}`
    case "At":
      return `at ${iso(timing.atMillis)}`
    case "After":
      return `after ${timing.delayMillis}ms`
  }
}

// internal

const iso = (millis: number): string =>
  Option.match(DateTime.make(millis), { onNone: () => `${millis}ms`, onSome: DateTime.formatIso })

// `Duration` makes nothing of what is negative or NaN: such a number is looked at before it becomes one.
const millisOf = (
  option: TimingOutOfRange["option"],
  duration: Duration.DurationInput,
  maximum = Duration.toMillis(durationMax)
): Either.Either<number, TimingOutOfRange> => {
  const value = Predicate.isNumber(duration) ? duration : Duration.toMillis(duration)
  return Number.isInteger(value) && value >= 1 && value <= maximum
    ? Either.right(value)
    : Either.left(new TimingOutOfRange({ option, value, minimum: 1, maximum }))
}
