/**
 * What the checks of a subject say about it, without time or effects: its status, and the one function that
 * leads from each to the next.
 *
 *     unknown            --passed--------------------> healthy, degraded
 *     healthy, degraded  --passed--------------------> healthy, degraded
 *     healthy            --failed--------------------> degraded
 *     any                --unhealthyAfter failed-----> unhealthy
 *     unhealthy          --healthyAfter passed-------> healthy, degraded
 *     any                --the subject is gone-------> dead
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

/**
 * How well a subject is. `unknown`: no check has passed yet, and not enough have failed. `dead`: it is gone.
 */
export type Status = "healthy" | "degraded" | "unknown" | "unhealthy" | "dead"

/** What a check found: the subject does its work. */
export interface Healthy {
  readonly _tag: "Healthy"
}

/** What a check found: the subject does its work, but not as it should. */
export interface Degraded {
  readonly _tag: "Degraded"
  readonly reason: string
}

/** A check that failed, died, was interrupted or took too long. */
export interface Failed {
  readonly _tag: "Failed"
  readonly reason: string
}

/** What happens to a subject: a check has ended, or its scope. */
export type Event = Healthy | Degraded | Failed | { readonly _tag: "Gone" }

/** When a subject is checked and what that leads to. */
export interface Options {
  /** From the start of one check to the start of the next, from 1 millisecond to 24.8 days. Default: 30 seconds. */
  readonly interval?: Duration.DurationInput
  /** How long a check may take before it counts as failed, from 1 millisecond to 24.8 days. Default: 5 seconds. */
  readonly timeout?: Duration.DurationInput
  /** How many failed checks in a row make it unhealthy, from 1 to 1,000. Default: 3. */
  readonly unhealthyAfter?: number
  /** How many passed checks in a row end that, from 1 to 1,000. Default: 1. */
  readonly healthyAfter?: number
}

/** Checked options. Whole numbers. */
export interface HealthConfig {
  readonly intervalMillis: number
  readonly timeoutMillis: number
  readonly unhealthyAfter: number
  readonly healthyAfter: number
}

/** How a subject is. Times are milliseconds since the epoch. */
export interface SubjectHealth {
  readonly subject: string
  readonly status: Status
  /** Why it is not healthy; empty when it is, and when nothing is known. */
  readonly reason: string
  /** When the status last changed. */
  readonly changedAtMillis: number
  /** When the last check ended; `undefined` before that. */
  readonly checkedAtMillis: number | undefined
  readonly consecutiveFailures: number
  readonly consecutivePasses: number
}

/** A check that cannot be made: one of its options is outside its bounds. */
export class HealthOutOfRange
  extends Schema.TaggedError<HealthOutOfRange>("@holdfast/core/HealthOutOfRange")("HealthOutOfRange", {
    subject: Schema.String,
    option: Schema.Literal("interval", "timeout", "unhealthyAfter", "healthyAfter"),
    value: Schema.Number,
    maximum: Schema.Number
  })
{
  override get message(): string {
    const unit = this.option === "interval" || this.option === "timeout" ? " of milliseconds" : ""
    return `health check of "${this.subject}": ${this.option} must be a whole number${unit} ` +
      `from 1 to ${this.maximum}, not ${this.value}`
  }
}

/** The values of options left out. */
export const defaults = {
  interval: Duration.seconds(30),
  timeout: Duration.seconds(5),
  unhealthyAfter: 3,
  healthyAfter: 1
}

/** The highest count an option may name. */
export const countMax = 1_000

/** The longest interval and timeout, in milliseconds: the longest timer Node has. */
export const millisMax = 2 ** 31 - 1

/** Checks options, or names the first one that is out of range. */
export const fromOptions = (
  subject: string,
  options: Options
): Either.Either<HealthConfig, HealthOutOfRange> => {
  const whole = (option: HealthOutOfRange["option"], value: number, maximum: number) =>
    Number.isInteger(value) && value >= 1 && value <= maximum
      ? Either.right(value)
      : Either.left(new HealthOutOfRange({ subject, option, value, maximum }))
  const { healthyAfter, interval, timeout, unhealthyAfter } = { ...defaults, ...options }
  return Either.all({
    intervalMillis: whole("interval", Duration.toMillis(interval), millisMax),
    timeoutMillis: whole("timeout", Duration.toMillis(timeout), millisMax),
    unhealthyAfter: whole("unhealthyAfter", unhealthyAfter, countMax),
    healthyAfter: whole("healthyAfter", healthyAfter, countMax)
  })
}

/** A subject that has not been checked. */
export const initial = (subject: string, atMillis: number): SubjectHealth => ({
  subject,
  status: "unknown",
  reason: "",
  changedAtMillis: atMillis,
  checkedAtMillis: undefined,
  consecutiveFailures: 0,
  consecutivePasses: 0
})

/** Leads from one health to the next. Nothing follows `dead`. */
export const transition = (
  config: HealthConfig,
  health: SubjectHealth,
  event: Event,
  atMillis: number
): SubjectHealth => {
  if (health.status === "dead") return health
  if (event._tag === "Gone") return moved(health, "dead", "the subject is gone", atMillis)
  const checked = { ...health, checkedAtMillis: atMillis }
  return event._tag === "Failed"
    ? failed(config, checked, event.reason, atMillis)
    : passed(config, checked, event, atMillis)
}

/**
 * Says how well a whole is: as its worst part, in the order healthy, degraded, unknown, unhealthy, dead. Of
 * nothing, nothing is known.
 *
 * **Source** Spring Boot `SimpleStatusAggregator`: the worst wins, none at all is unknown.
 */
export const worst = (parts: Iterable<Status>): Status =>
  Array.from(parts).reduce<Status | undefined>(
    (worst, status) =>
      worst === undefined || severity.indexOf(status) > severity.indexOf(worst) ? status : worst,
    undefined
  ) ?? "unknown"

// internal

const severity: ReadonlyArray<Status> = ["healthy", "degraded", "unknown", "unhealthy", "dead"]

const moved = (health: SubjectHealth, status: Status, reason: string, atMillis: number): SubjectHealth => ({
  ...health,
  status,
  reason,
  changedAtMillis: status === health.status ? health.changedAtMillis : atMillis
})

const failed = (
  config: HealthConfig,
  health: SubjectHealth,
  reason: string,
  atMillis: number
): SubjectHealth => {
  const consecutiveFailures = health.consecutiveFailures + 1
  const counted = { ...health, consecutiveFailures, consecutivePasses: 0 }
  if (consecutiveFailures >= config.unhealthyAfter) return moved(counted, "unhealthy", reason, atMillis)
  return moved(counted, health.status === "healthy" ? "degraded" : health.status, reason, atMillis)
}

const passed = (
  config: HealthConfig,
  health: SubjectHealth,
  found: Healthy | Degraded,
  atMillis: number
): SubjectHealth => {
  const consecutivePasses = health.consecutivePasses + 1
  const counted = { ...health, consecutivePasses, consecutiveFailures: 0 }
  if (health.status === "unhealthy" && consecutivePasses < config.healthyAfter) return counted
  return found._tag === "Healthy"
    ? moved(counted, "healthy", "", atMillis)
    : moved(counted, "degraded", found.reason, atMillis)
}
