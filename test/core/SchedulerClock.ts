/**
 * A clock for tests of what follows a clock: its wall time can be set apart from the time that passes, and it advances
 * through hundreds of thousands of sleeps a second.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

interface Sleep {
  readonly atMillis: number
  readonly resume: () => void
}

export interface SchedulerClock {
  readonly clock: Clock.Clock
  /** Lets time pass, sleep by sleep. */
  readonly advance: (duration: Duration.DurationInput) => Effect.Effect<void>
  /** Lets time pass while the process is held up: whoever sleeps wakes only afterwards. */
  readonly stall: (duration: Duration.DurationInput) => Effect.Effect<void>
  /** Sets the wall clock forward or back. */
  readonly jump: (millis: number) => Effect.Effect<void>
  /** Lets every other fiber run as far as it can without time. */
  readonly settle: Effect.Effect<void>
  readonly wallMillis: () => number
  readonly sleeping: () => number
}

export const make = (startMillis = 0): SchedulerClock => {
  const sleeps = new Set<Sleep>()
  let passed = 0
  let wall = startMillis
  let registered = 0
  const pass = (millis: number): void => {
    passed += millis
    wall += millis
  }
  const earliest = (): Sleep | undefined => {
    let first: Sleep | undefined
    for (const sleep of sleeps) if (first === undefined || sleep.atMillis < first.atMillis) first = sleep
    return first
  }
  const wake = (sleep: Sleep): void => {
    sleeps.delete(sleep)
    sleep.resume()
  }
  const yields = (count: number): Effect.Effect<void> => Effect.repeatN(Effect.yieldNow(), count)
  /** Until whoever woke sleeps again, and its forks have run; a while if it does not. */
  const untilAsleep = (since: number, left: number): Effect.Effect<void> =>
    Effect.suspend(() =>
      registered > since || left === 0
        ? yields(2)
        : Effect.zipRight(Effect.yieldNow(), untilAsleep(since, left - 1))
    )
  const advanceTo = (target: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const sleep = earliest()
      if (sleep === undefined || sleep.atMillis > target) {
        pass(target - passed)
        return settle
      }
      pass(Math.max(0, sleep.atMillis - passed))
      const since = registered
      for (const other of sleeps) if (other.atMillis <= sleep.atMillis) wake(other)
      return Effect.zipRight(untilAsleep(since, 60), advanceTo(target))
    })
  const settle = yields(60)
  const clock: Clock.Clock = {
    ...Clock.make(),
    unsafeCurrentTimeMillis: () => wall,
    currentTimeMillis: Effect.sync(() => wall),
    unsafeCurrentTimeNanos: () => BigInt(passed) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(passed) * 1_000_000n),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const sleep = {
          atMillis: passed + Math.ceil(Duration.toMillis(duration)),
          resume: () => resume(Effect.void)
        }
        registered += 1
        sleeps.add(sleep)
        return Effect.sync(() => {
          sleeps.delete(sleep)
        })
      })
  }
  return {
    clock,
    settle,
    advance: (duration) =>
      Effect.zipRight(settle, Effect.suspend(() => advanceTo(passed + Duration.toMillis(duration)))),
    stall: (duration) =>
      Effect.zipRight(
        settle,
        Effect.suspend(() => {
          pass(Duration.toMillis(duration))
          for (const sleep of Array.from(sleeps)) if (sleep.atMillis <= passed) wake(sleep)
          return yields(1_500)
        })
      ),
    jump: (millis) =>
      Effect.zipRight(
        settle,
        Effect.sync(() => {
          wall += millis
        })
      ),
    wallMillis: () => wall,
    sleeping: () => sleeps.size
  }
}

/** Runs an effect on the clock. */
export const on =
  (self: SchedulerClock) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provide(effect, Layer.setClock(self.clock))
