import { describe, expect, it } from "@effect/vitest"
import * as Backoff from "@holdfast/core/Backoff"
import type * as BreakerConfig from "@holdfast/core/BreakerConfig"
import * as CircuitBreaker from "@holdfast/core/CircuitBreaker"
import * as Retry from "@holdfast/core/Retry"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"

class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", {}) {}
class NoSuchUser extends Schema.TaggedError<NoSuchUser>()("NoSuchUser", {}) {}
class Cancelled extends Schema.TaggedError<Cancelled>()("Cancelled", {}) {}

const unreachable: Effect.Effect<number, Unreachable> = new Unreachable()

/** A breaker that has been open for as long as it stays open: the next call is a probe. */
const aboutToProbe = (options: BreakerConfig.Options) =>
  Effect.gen(function*() {
    const breaker = yield* CircuitBreaker.make("test", { openFor: "1 second", ...options })
    yield* breaker.trip
    yield* TestClock.adjust("1 second")
    return breaker
  })

/** An effect that runs until it is let go, and counts those that run. */
const heldCalls = () => {
  const latch = Effect.unsafeMakeLatch()
  const calls = { running: 0, most: 0, done: 0 }
  const call = Effect.sync(() => {
    calls.running += 1
    calls.most = Math.max(calls.most, calls.running)
  }).pipe(
    Effect.zipRight(latch.await),
    Effect.zipRight(Effect.sync(() => {
      calls.running -= 1
      calls.done += 1
    }))
  )
  return { call, calls, latch }
}

const stateOf = (breaker: CircuitBreaker.CircuitBreaker) => Effect.map(breaker.status, ({ state }) => state)

describe("CircuitBreaker", () => {
  it.effect("opens after 5 failures in a row, refuses typed, and closes after one good probe", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make("users")
      for (const _ of Arr.range(1, 4)) yield* Effect.flip(CircuitBreaker.protect(unreachable, breaker))
      expect(yield* breaker.status).toMatchObject({ state: "Closed", consecutiveFailures: 4 })
      yield* Effect.flip(CircuitBreaker.protect(unreachable, breaker))
      yield* TestClock.adjust("12 seconds")
      const refused = yield* Effect.flip(CircuitBreaker.protect(Effect.void, breaker))
      expect(refused).toEqual(
        new CircuitBreaker.CircuitOpen({ breaker: "users", retryAfter: Duration.seconds(18) })
      )
      expect(refused.message).toBe(`circuit breaker "users" is open: try again in 18s`)
      yield* TestClock.adjust("18 seconds")
      yield* CircuitBreaker.protect(Effect.void, breaker)
      expect(yield* breaker.status).toMatchObject({ state: "Closed", consecutiveFailures: 0 })
    }))

  it.effect("opens when the share of failures reaches the threshold, after the minimum of calls", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make("rate", {
        failureRate: { threshold: 0.5, window: 10, minimumCalls: 6 }
      })
      const call = (outcome: CircuitBreaker.Outcome) =>
        CircuitBreaker.protect(Effect.succeed(outcome), breaker, { success: (outcome) => outcome })
      for (const _ of Arr.range(1, 5)) yield* call("failure")
      expect(yield* breaker.status).toMatchObject({ state: "Closed", failureRate: 1 })
      yield* call("success")
      yield* call("ignore")
      expect(yield* breaker.status).toMatchObject({ state: "Closed", failureRate: 5 / 6 })
      yield* call("failure")
      expect(yield* stateOf(breaker)).toBe("Open")
    }))

  it.effect.prop(
    "law: of 100 callers at once exactly the configured probes run while half-open",
    [FastCheck.integer({ min: 1, max: 100 })],
    ([probes]) =>
      Effect.gen(function*() {
        const breaker = yield* aboutToProbe({ probes, successesToClose: probes })
        const { call, calls, latch } = heldCalls()
        const fibers = yield* Effect.forEach(
          Arr.range(1, 100),
          () =>
            Effect.fork(
              Effect.zipRight(Effect.yieldNow(), Effect.exit(CircuitBreaker.protect(call, breaker)))
            )
        )
        yield* TestClock.adjust(0)
        expect(calls).toEqual({ running: probes, most: probes, done: 0 })
        expect(yield* breaker.status).toMatchObject({ state: "HalfOpen", probing: probes })
        yield* latch.open
        const exits = yield* Fiber.join(Fiber.all(fibers))
        expect(exits.filter(Exit.isSuccess)).toHaveLength(probes)
        expect(yield* stateOf(breaker)).toBe("Closed")
      }),
    { fastCheck: { numRuns: 15 } }
  )

  it.effect.prop(
    "law: of any number that wait no more than the probes run until it closes, and all get done",
    {
      callers: FastCheck.integer({ min: 1, max: 20 }),
      probes: FastCheck.integer({ min: 1, max: 4 }),
      successesToClose: FastCheck.integer({ min: 1, max: 4 })
    },
    ({ callers, probes, successesToClose }) =>
      Effect.gen(function*() {
        const breaker = yield* CircuitBreaker.make("test", { openFor: "1 second", probes, successesToClose })
        yield* breaker.trip
        const calls = { running: 0, mostProbes: 0, done: 0 }
        const call = Effect.gen(function*() {
          calls.running += 1
          if ((yield* stateOf(breaker)) === "HalfOpen") {
            calls.mostProbes = Math.max(calls.mostProbes, calls.running)
          }
          yield* Effect.sleep("100 millis")
          calls.running -= 1
          calls.done += 1
        })
        const fiber = yield* Effect.replicateEffect(CircuitBreaker.protectWhenReady(call, breaker), callers, {
          concurrency: "unbounded"
        }).pipe(Effect.fork)
        yield* TestClock.adjust("999 millis")
        expect(calls.running).toBe(0)
        yield* TestClock.adjust("1 millis")
        expect(calls.running).toBe(Math.min(probes, callers))
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(fiber)
        expect(calls).toEqual({ running: 0, mostProbes: Math.min(probes, callers), done: callers })
      }),
    { fastCheck: { numRuns: 10 } }
  )

  it.effect("counts a defect as a failure and raises it untouched", () =>
    Effect.gen(function*() {
      const beside = Cause.parallel(Cause.fail(new NoSuchUser()), Cause.die("bug"))
      for (const cause of [Cause.die("bug"), beside]) {
        const breaker = yield* aboutToProbe({})
        const exit = yield* Effect.exit(
          CircuitBreaker.protect(Effect.failCause(cause), breaker, { errors: { NoSuchUser: "success" } })
        )
        expect(exit).toEqual(Exit.failCause(cause))
        expect(yield* stateOf(breaker)).toBe("Open")
      }
    }))

  it.effect("counts an interruption neither way and gives the probe back", () =>
    Effect.gen(function*() {
      const breaker = yield* aboutToProbe({})
      const fiber = yield* Effect.fork(CircuitBreaker.protect(Effect.never, breaker))
      yield* TestClock.adjust(0)
      expect(yield* breaker.status).toMatchObject({ state: "HalfOpen", probing: 1 })
      yield* Fiber.interrupt(fiber)
      expect(yield* breaker.status).toMatchObject({
        state: "HalfOpen",
        probing: 0,
        retryAfter: Duration.zero
      })
      yield* CircuitBreaker.protect(Effect.void, breaker)
      expect(yield* stateOf(breaker)).toBe("Closed")
    }))

  it.effect("counts errors by their tag, those not named as failures", () =>
    Effect.gen(function*() {
      const stateAfter = (error: Unreachable | NoSuchUser | Cancelled) =>
        Effect.gen(function*() {
          const breaker = yield* aboutToProbe({})
          const call: Effect.Effect<never, Unreachable | NoSuchUser | Cancelled> = Effect.fail(error)
          const outcome = yield* call.pipe(
            CircuitBreaker.protect(breaker, { errors: { NoSuchUser: "success", Cancelled: "ignore" } }),
            Effect.flip
          )
          expect(outcome).toBe(error)
          return yield* stateOf(breaker)
        })
      expect(yield* stateAfter(new Unreachable())).toBe("Open")
      expect(yield* stateAfter(new NoSuchUser())).toBe("Closed")
      expect(yield* stateAfter(new Cancelled())).toBe("HalfOpen")
    }))

  it.effect("counts an error without a tag, or with one that objects inherit, as a failure", () =>
    Effect.gen(function*() {
      for (const error of ["plain", { _tag: "constructor" as const }]) {
        const breaker = yield* aboutToProbe({})
        yield* Effect.flip(CircuitBreaker.protect(Effect.fail(error), breaker, { errors: {} }))
        expect(yield* stateOf(breaker)).toBe("Open")
      }
    }))

  it.effect("counts a success as the caller says, and returns it", () =>
    Effect.gen(function*() {
      const breaker = yield* aboutToProbe({})
      const result = yield* Effect.succeed({ exitCode: 1 }).pipe(
        CircuitBreaker.protect(breaker, { success: ({ exitCode }) => exitCode === 0 ? "success" : "failure" })
      )
      expect(result).toEqual({ exitCode: 1 })
      expect(yield* stateOf(breaker)).toBe("Open")
    }))

  it.effect("takes a classifier that throws as a defect and a failure, and loses no probe", () =>
    Effect.gen(function*() {
      const breaker = yield* aboutToProbe({})
      const exit = yield* CircuitBreaker.protect(Effect.void, breaker, {
        success: () => {
          throw new Error("bug in the classifier")
        }
      }).pipe(Effect.exit)
      expect(exit).toEqual(Exit.die(new Error("bug in the classifier")))
      expect(yield* stateOf(breaker)).toBe("Open")
    }))

  it.effect("counts one report per permit", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make("test")
      const permit = yield* breaker.acquire
      for (const _ of Arr.range(1, 10)) yield* permit.report("failure")
      expect(yield* breaker.status).toMatchObject({ state: "Closed", consecutiveFailures: 1 })
    }))

  it.effect("runs the effect in the caller's fiber", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make("test")
      for (const protect of [CircuitBreaker.protect, CircuitBreaker.protectWhenReady]) {
        expect(yield* protect(Effect.fiberId, breaker)).toEqual(yield* Effect.fiberId)
      }
    }))

  it.effect("answers for its status at once while calls run", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make("test")
      const { call, calls, latch } = heldCalls()
      const fiber = yield* Effect.replicateEffect(CircuitBreaker.protect(call, breaker), 10, {
        concurrency: "unbounded"
      }).pipe(Effect.fork)
      yield* TestClock.adjust(0)
      expect(calls.running).toBe(10)
      expect(yield* breaker.status).toEqual({
        name: "test",
        state: "Closed",
        consecutiveFailures: 0,
        failureRate: 0,
        probing: 0,
        retryAfter: Duration.zero
      })
      yield* latch.open
      yield* Fiber.join(fiber)
    }))

  it.effect("wakes those who wait when it is reset, when a probe comes back, and when the time is over", () =>
    Effect.gen(function*() {
      const breaker = yield* aboutToProbe({})
      const probe = yield* breaker.acquire
      const waiter = yield* Effect.fork(breaker.awaitReady)
      yield* TestClock.adjust(0)
      expect(yield* Fiber.poll(waiter)).toMatchObject({ _tag: "None" })
      yield* probe.report("ignore")
      yield* Fiber.join(waiter)

      yield* breaker.trip
      const timed = yield* Effect.fork(breaker.awaitReady)
      yield* TestClock.adjust("999 millis")
      expect(yield* Fiber.poll(timed)).toMatchObject({ _tag: "None" })
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(timed)

      yield* breaker.trip
      const reset = yield* Effect.fork(breaker.awaitReady)
      yield* TestClock.adjust("10 millis")
      yield* breaker.reset
      yield* Fiber.join(reset)
    }))

  it.effect("never runs a call that was interrupted while it waited, and takes no probe for it", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make("test", { openFor: "1 second" })
      yield* breaker.trip
      let ran = false
      const call = Effect.sync(() => {
        ran = true
      })
      const fiber = yield* Effect.fork(CircuitBreaker.protectWhenReady(call, breaker))
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("500 millis")
      expect(ran).toBe(false)
      expect(yield* breaker.status).toMatchObject({ state: "Open", probing: 0, retryAfter: Duration.zero })
    }))

  it.effect("pauses a batch while its command mostly fails, and resumes it", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make("batch", {
        failureRate: { threshold: 0.5, window: 10, minimumCalls: 5 },
        openFor: "1 second"
      })
      const startedAt: Array<number> = []
      const command = Effect.gen(function*() {
        startedAt.push(yield* Clock.currentTimeMillis)
        yield* Effect.sleep("100 millis")
        return { exitCode: (yield* Clock.currentTimeMillis) < 3_000 ? 1 : 0 }
      })
      const fiber = yield* Effect.replicateEffect(
        CircuitBreaker.protectWhenReady(command, breaker, {
          success: ({ exitCode }) => exitCode === 0 ? "success" : "failure"
        }),
        30,
        { concurrency: 5 }
      ).pipe(Effect.fork)
      yield* TestClock.adjust("1 minute")
      const failed = (yield* Fiber.join(fiber)).filter(({ exitCode }) => exitCode === 1)
      expect(failed).toHaveLength(11)
      expect(startedAt.slice(0, 13)).toEqual([0, 0, 0, 0, 0, 100, 100, 100, 100, 1_100, 2_200, 3_300, 3_400])
      expect(startedAt).toHaveLength(30)
    }))

  it.effect("lets Retry come back when a call may go", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make("test", { openFor: "1 minute" })
      yield* breaker.trip
      const fiber = yield* Clock.currentTimeMillis.pipe(
        CircuitBreaker.protect(breaker),
        Retry.retry({ on: ["CircuitOpen"], backoff: Backoff.immediate, retries: 1 }),
        Effect.fork
      )
      yield* TestClock.adjust("1 hour")
      expect(yield* Fiber.join(fiber)).toBe(60_000)
    }))

  it.scoped("streams its status, now and at each change of state", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make("test", { openFor: "1 second" })
      const seen: Array<unknown> = []
      const note = ({ probing, state }: CircuitBreaker.Status) =>
        Effect.sync(() => {
          seen.push([state, probing])
        })
      yield* Effect.forkScoped(Stream.runForEach(breaker.changes, note))
      const seenAfter = <A, E>(step: Effect.Effect<A, E>) =>
        step.pipe(Effect.zipRight(TestClock.adjust(0)), Effect.map(() => seen.splice(0)))
      expect(yield* seenAfter(Effect.void)).toEqual([["Closed", 0]])
      expect(yield* seenAfter(breaker.trip)).toEqual([["Open", 0]])
      expect(yield* seenAfter(breaker.trip)).toEqual([])
      yield* TestClock.adjust("1 second")
      expect(yield* seenAfter(breaker.acquire)).toEqual([["HalfOpen", 1]])
      expect(yield* seenAfter(breaker.reset)).toEqual([["Closed", 0]])
      expect(yield* seenAfter(breaker.reset)).toEqual([])
    }))

  it.scoped("gives a subscriber that fell behind the last 16 changes", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make("test")
      const pull = yield* Stream.toPull(breaker.changes)
      yield* pull
      for (const _ of Arr.range(1, 40)) yield* Effect.zipRight(breaker.trip, breaker.reset)
      expect(Chunk.toReadonlyArray(yield* pull).map(({ state }) => state)).toEqual(
        Arr.range(1, 16).map((index) => index % 2 === 1 ? "Open" : "Closed")
      )
    }))

  it.effect("fails typed for options that are out of range, naming the option", () =>
    Effect.gen(function*() {
      const refused = (options: BreakerConfig.Options) =>
        Effect.map(Effect.flip(CircuitBreaker.make("bad", options)), ({ option }) => option)
      const rate = { threshold: 0.5, window: 10 }
      for (const wrong of [0, -1, 1.5, 1_001, Number.NaN, Infinity]) {
        expect(yield* refused({ consecutiveFailures: wrong })).toBe("consecutiveFailures")
        expect(yield* refused({ probes: wrong })).toBe("probes")
        expect(yield* refused({ successesToClose: wrong })).toBe("successesToClose")
        expect(yield* refused({ failureRate: { ...rate, window: wrong } })).toBe("failureRate.window")
        expect(yield* refused({ failureRate: { ...rate, minimumCalls: wrong } })).toBe(
          "failureRate.minimumCalls"
        )
      }
      for (const threshold of [0, -1, 1.01, Number.NaN]) {
        expect(yield* refused({ failureRate: { threshold } })).toBe("failureRate.threshold")
      }
      for (const openFor of [0, Infinity, Number.NaN, "25 days"] as const) {
        expect(yield* refused({ openFor })).toBe("openFor")
      }
      expect(yield* refused({ failureRate: { ...rate, minimumCalls: 11 } })).toBe("failureRate.minimumCalls")
      const error = yield* Effect.flip(CircuitBreaker.make("bad", { probes: 0 }))
      expect(error.message).toBe(
        `circuit breaker "bad": probes must be a whole number from 1 to 1000, not 0`
      )
    }))
})
