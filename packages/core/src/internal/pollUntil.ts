import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

const delayMillisMax = 50

const realClock = Clock.make()

/**
 * Polls a condition until it holds or `limitMillis` were slept: at once, after 1 ms, 2 ms more, ... at last every 50 ms.
 *
 * Answers whether it came to hold. Sleeps in real time under a `TestClock` too: the operating system keeps no other.
 */
export const pollUntil = <E, R>(
  condition: Effect.Effect<boolean, E, R>,
  limitMillis: number
): Effect.Effect<boolean, E, R> => Effect.withClock(poll(condition, limitMillis, 1), realClock)

const poll = <E, R>(
  condition: Effect.Effect<boolean, E, R>,
  leftMillis: number,
  delayMillis: number
): Effect.Effect<boolean, E, R> =>
  Effect.flatMap(condition, (holds) => {
    if (holds || leftMillis <= 0) return Effect.succeed(holds)
    const sleepMillis = Math.min(delayMillis, leftMillis)
    const next = Effect.suspend(() =>
      poll(condition, leftMillis - sleepMillis, Math.min(delayMillis * 2, delayMillisMax))
    )
    return Effect.zipRight(Effect.sleep(sleepMillis), next)
  })
