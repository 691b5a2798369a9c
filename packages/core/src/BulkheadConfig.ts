/**
 * How much a bulkhead lets run and wait: the options a user writes, checked and made into plain numbers.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { BulkheadOutOfRange } from "./BulkheadError.ts"
import type { Limits } from "./BulkheadState.ts"

/** How many may run, how many may wait, and for how long. */
export interface Options {
  /** How many tasks run at once, a whole number from 1 to 100,000. */
  readonly concurrency: number
  /** How many calls may be in line when one of `protect` joins it, a whole number from 0 to 100,000. Default: 100. */
  readonly queue?: number
  /** How long a call of `protect` waits in line, from 1 millisecond to 24.8 days. Default: as long as it takes. */
  readonly queueTimeout?: Duration.DurationInput
}

/** Checked options. */
export interface BulkheadConfig extends Limits {
  /** `undefined`: as long as it takes. */
  readonly queueMillis: number | undefined
}

/** The line's bound where none is given. */
export const queueDefault = 100

/** The highest `concurrency` and the highest `queue`. */
export const countMax = 100_000

/** The longest `queueTimeout`, in milliseconds: the longest timer Node has. */
export const queueTimeoutMillisMax = 2 ** 31 - 1

/** Checks options, or names the first one that is out of range. */
export const fromOptions = (
  pool: string,
  options: Options
): Either.Either<BulkheadConfig, BulkheadOutOfRange> => {
  const whole = (option: BulkheadOutOfRange["option"], value: number, minimum: number, maximum: number) =>
    Number.isInteger(value) && value >= minimum && value <= maximum
      ? Either.right(value)
      : Either.left(new BulkheadOutOfRange({ pool, option, value, minimum, maximum }))
  const { concurrency, queue = queueDefault, queueTimeout } = options
  return Either.all({
    concurrency: whole("concurrency", concurrency, 1, countMax),
    queue: whole("queue", queue, 0, countMax),
    queueMillis: queueTimeout === undefined
      ? Either.right(undefined)
      : whole("queueTimeout", Duration.toMillis(queueTimeout), 1, queueTimeoutMillisMax)
  })
}
