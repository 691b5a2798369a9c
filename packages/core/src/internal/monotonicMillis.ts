import type * as Clock from "effect/Clock"

/**
 * Reads a clock in milliseconds, to the microsecond, that never run backwards.
 *
 * `currentTimeMillis` follows the wall clock, and a wall clock that is set back an hour would hold a
 * limit or an open breaker for that hour.
 */
export const monotonicMillis = (clock: Clock.Clock): number =>
  Number(clock.unsafeCurrentTimeNanos() / 1_000n) / 1_000
