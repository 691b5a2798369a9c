import { describe, expect, it } from "@effect/vitest"
import * as Backoff from "@holdfast/core/Backoff"
import * as Retry from "@holdfast/core/Retry"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"

class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", { attempt: Schema.Number }) {}
class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}
class Busy extends Schema.TaggedError<Busy>()("Busy", { retryAfter: Schema.Duration }) {}

/** Runs an effect per attempt, the last one again and again, and notes when each attempt began. */
const attempts = <A, E>(outcome: (attempt: number) => Effect.Effect<A, E>) => {
  const startedAt: Array<number> = []
  const effect = Effect.flatMap(Clock.currentTimeMillis, (millis) => outcome(startedAt.push(millis)))
  return { effect, startedAt }
}

const unreachable = () =>
  attempts((attempt): Effect.Effect<string, Unreachable | Refused> => new Unreachable({ attempt }))

/** Runs an effect while a virtual day goes by. */
const withinADay = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    yield* TestClock.adjust("1 day")
    return yield* Fiber.await(fiber)
  })

describe("Retry", () => {
  it.effect("runs again after the policy's delays, then fails with the last error", () =>
    Effect.gen(function*() {
      const { effect, startedAt } = unreachable()
      const backoff = Backoff.exponential({ base: 100, cap: 300, jitter: "none" })
      const exit = yield* withinADay(Retry.retry(effect, { on: ["Unreachable"], backoff, retries: 4 }))
      expect(startedAt).toEqual([0, 100, 300, 600, 900])
      expect(exit).toEqual(Exit.fail(new Unreachable({ attempt: 5 })))
    }))

  it.effect("draws the jitter that Backoff calculates from the same numbers", () =>
    Effect.gen(function*() {
      const { effect, startedAt } = unreachable()
      const backoff = Backoff.exponential({ jitter: "full" })
      yield* withinADay(
        Effect.withRandom(
          Retry.retry(effect, { on: ["Unreachable"], backoff, retries: 5 }),
          Random.make("seed")
        )
      )
      const random = Random.make("seed")
      let expected = 0
      for (const [index, millis] of startedAt.entries()) {
        if (index > 0) expected += Backoff.delayMillis(backoff, index + 1, yield* random.next)
        expect(millis).toBe(expected)
      }
      expect(startedAt).toHaveLength(6)
    }))

  it.effect("retries three times unless told otherwise, and stops at the first success", () =>
    Effect.gen(function*() {
      const failing = unreachable()
      yield* withinADay(Retry.retry(failing.effect, { on: ["Unreachable"] }))
      expect(failing.startedAt).toHaveLength(4)

      const third = attempts((attempt): Effect.Effect<string, Unreachable> =>
        attempt < 3 ? new Unreachable({ attempt }) : Effect.succeed("done")
      )
      const exit = yield* withinADay(third.effect.pipe(Retry.retry({ on: ["Unreachable"] })))
      expect(exit).toEqual(Exit.succeed("done"))
      expect(third.startedAt).toHaveLength(3)
    }))

  it.effect("leaves an error whose tag is not listed alone", () =>
    Effect.gen(function*() {
      const { effect, startedAt } = unreachable()
      const exit = yield* withinADay(Retry.retry(effect, { on: ["Refused"] }))
      expect(exit).toEqual(Exit.fail(new Unreachable({ attempt: 1 })))
      expect(startedAt).toHaveLength(1)
    }))

  it.effect("never retries a defect, alone or beside a failure that is listed", () =>
    Effect.gen(function*() {
      const bug = new Error("bug")
      const alone = attempts((): Effect.Effect<never, Refused> => Effect.die(bug))
      const beside = attempts(() =>
        Effect.failCause(Cause.parallel(Cause.fail(new Refused()), Cause.die(bug)))
      )
      for (const { effect, startedAt } of [alone, beside]) {
        const exit = yield* withinADay(Retry.retry(effect, { on: ["Refused"] }))
        expect(startedAt).toHaveLength(1)
        expect(exit).toEqual(Exit.die(bug))
      }
    }))

  it.effect("waits at least as long as the error asks for", () =>
    Effect.gen(function*() {
      const asked = [Duration.seconds(7), Duration.millis(3), Duration.infinity]
      const { effect, startedAt } = attempts((attempt) =>
        new Busy({ retryAfter: asked[attempt - 1] ?? Duration.zero })
      )
      const fiber = yield* Effect.fork(
        Retry.retry(effect, { on: ["Busy"], backoff: Backoff.fixed("1 second") })
      )
      yield* TestClock.adjust(Backoff.delayMillisMax + 10_000)
      yield* Fiber.await(fiber)
      expect(startedAt).toEqual([0, 7_000, 8_000, 8_000 + Backoff.delayMillisMax])
    }))

  it.effect("ends at once when it is interrupted during a delay", () =>
    Effect.gen(function*() {
      const { effect, startedAt } = unreachable()
      const fiber = yield* Effect.fork(Retry.retry(effect, { on: ["Unreachable"] }))
      yield* TestClock.adjust("100 millis")
      const exit = yield* Fiber.interrupt(fiber)
      expect(Exit.isInterrupted(exit)).toBe(true)
      yield* TestClock.adjust("1 day")
      expect(startedAt).toHaveLength(1)
    }))
})
