import { describe, expect, it } from "@effect/vitest"
import * as RateLimiter from "@holdfast/core/RateLimiter"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"

const perSecond = (limit: number, burst: number) =>
  RateLimiter.make("test", { limit, interval: "1 second", burst })

/** Forks waiters in the order of their names; each notes its name and the time when it was let through. */
const forkWaiters = (limiter: RateLimiter.RateLimiter, costs: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const passed: Array<readonly [waiter: number, atMillis: number]> = []
    const fibers = yield* Effect.forEach(costs, (cost, waiter) =>
      limiter.wait(cost).pipe(
        Effect.zipRight(Clock.currentTimeMillis),
        Effect.map((millis) => {
          passed.push([waiter, millis])
        }),
        Effect.fork
      ))
    yield* TestClock.adjust(0)
    return { passed, fibers }
  })

describe("RateLimiter", () => {
  it.effect.prop(
    "law: of any number of calls at once exactly the burst passes",
    { burst: FastCheck.integer({ min: 1, max: 150 }), calls: FastCheck.integer({ min: 1, max: 300 }) },
    ({ burst, calls }) =>
      Effect.gen(function*() {
        const limiter = yield* perSecond(1_000, burst)
        const results = yield* Effect.replicateEffect(
          Effect.zipRight(Effect.yieldNow(), Effect.either(limiter.reject())),
          calls,
          { concurrency: "unbounded" }
        )
        expect(results.filter(Either.isRight)).toHaveLength(Math.min(burst, calls))
      }),
    { fastCheck: { numRuns: 50 } }
  )

  it.effect("lets exactly 100 of 200 calls at once through when the limit is 100", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make("test", { limit: 100, interval: "1 minute" })
      const results = yield* Effect.replicateEffect(Effect.either(limiter.reject()), 200, {
        concurrency: "unbounded"
      })
      expect(results.filter(Either.isRight)).toHaveLength(100)
      expect(results.filter(Either.isLeft).map(({ left }) => left)[0]).toMatchObject({
        _tag: "RateLimited",
        retryAfter: Duration.millis(600),
        message: `rate limit "test" (100 per 1m) is reached: try again in 600ms`
      })
    }))

  it.effect.prop(
    "law: a refused call passes after retryAfter and not a millisecond earlier",
    {
      limit: FastCheck.integer({ min: 1, max: 50 }),
      burst: FastCheck.integer({ min: 1, max: 10 }),
      costs: FastCheck.array(FastCheck.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 5 })
    },
    ({ burst, costs, limit }) =>
      Effect.gen(function*() {
        const limiter = yield* perSecond(limit, burst)
        for (const cost of [burst, ...costs.filter((cost) => cost <= burst)]) {
          const refused = yield* Effect.flip(Effect.zipRight(limiter.reject(cost), limiter.reject(burst)))
          if (refused._tag === "CostOutOfRange") return yield* Effect.die(refused)
          const millis = Duration.toMillis(refused.retryAfter)
          yield* TestClock.adjust(millis - 1)
          expect((yield* Effect.flip(limiter.reject(burst)))._tag).toBe("RateLimited")
          yield* TestClock.adjust(1)
          yield* limiter.reject(burst)
          yield* TestClock.adjust("1 day")
        }
      }),
    { fastCheck: { numRuns: 10 } }
  )

  it.effect("lets waiters through one by one, first come first served, each at its own time", () =>
    Effect.gen(function*() {
      const limiter = yield* perSecond(3, 2)
      const { passed } = yield* forkWaiters(limiter, [1, 1, 1, 1, 1])
      yield* TestClock.adjust("1 day")
      expect(passed).toEqual([[0, 0], [1, 0], [2, 334], [3, 667], [4, 1_000]])
    }))

  it.effect("lets a cheap waiter not overtake a dear one", () =>
    Effect.gen(function*() {
      const limiter = yield* perSecond(10, 10)
      const { passed } = yield* forkWaiters(limiter, [8, 10, 1])
      yield* TestClock.adjust("1 day")
      expect(passed).toEqual([[0, 0], [1, 800], [2, 900]])
    }))

  it.effect("lets a call that does not wait take nothing from those who do", () =>
    Effect.gen(function*() {
      const limiter = yield* perSecond(10, 10)
      yield* forkWaiters(limiter, [8, 10])
      const refused = yield* Effect.flip(limiter.reject(2))
      expect(refused).toMatchObject({ _tag: "RateLimited", retryAfter: Duration.seconds(1) })
      yield* TestClock.adjust("1 second")
      yield* limiter.reject(2)
      expect(yield* Effect.flip(limiter.reject())).toMatchObject({ retryAfter: Duration.millis(100) })
    }))

  it.effect.prop(
    "law: waiters that are interrupted leave the others as if they had never come",
    {
      costs: FastCheck.array(FastCheck.integer({ min: 1, max: 4 }), { maxLength: 8 }),
      interrupted: FastCheck.array(FastCheck.nat(7), { maxLength: 8 })
    },
    ({ costs, interrupted }) =>
      Effect.gen(function*() {
        const withAll = yield* perSecond(10, 4)
        yield* withAll.wait(4)
        const all = yield* forkWaiters(withAll, costs)
        yield* Effect.forEach(interrupted, (index) => {
          const fiber = all.fibers[index]
          return fiber === undefined ? Effect.void : Fiber.interrupt(fiber)
        })
        const isLeft = (_: number, index: number) => !interrupted.includes(index)
        const withOthers = yield* perSecond(10, 4)
        yield* withOthers.wait(4)
        const others = yield* forkWaiters(withOthers, costs.filter(isLeft))
        yield* TestClock.adjust("1 minute")
        const times = (passed: ReadonlyArray<readonly [number, number]>) => passed.map(([, millis]) => millis)
        expect(times(all.passed)).toEqual(times(others.passed))
        expect(all.passed.map(([waiter]) => waiter)).toEqual(costs.map((_, index) => index).filter(isLeft))
      }),
    { fastCheck: { numRuns: 20 } }
  )

  it.effect("takes nothing for a waiter that is interrupted as its turn comes", () =>
    Effect.forEach(Array.from({ length: 20 }, (_, index) => index), (yields) =>
      Effect.gen(function*() {
        const limiter = yield* perSecond(1, 2)
        yield* limiter.wait()
        const { fibers: [first, second] } = yield* forkWaiters(limiter, [2, 1])
        if (first === undefined || second === undefined) return yield* Effect.dieMessage("two waiters")
        yield* Fiber.interruptFork(first)
        yield* Effect.repeatN(Effect.yieldNow(), yields)
        const wasAdmitted = Exit.isSuccess(yield* Fiber.interrupt(second))
        const isFree = Either.isRight(yield* Effect.either(limiter.reject()))
        expect(isFree).toBe(!wasAdmitted)
      })))

  it.effect.prop(
    "law: no window admits more than rate x time + burst, whoever waits, is refused or is interrupted",
    {
      limit: FastCheck.integer({ min: 1, max: 30 }),
      burst: FastCheck.integer({ min: 1, max: 5 }),
      arrivals: FastCheck.array(
        FastCheck.record({
          atMillis: FastCheck.nat(1_000),
          cost: FastCheck.integer({ min: 1, max: 5 }),
          kind: FastCheck.constantFrom("wait", "reject", "interrupt")
        }),
        { maxLength: 15 }
      )
    },
    ({ arrivals, burst, limit }) =>
      Effect.gen(function*() {
        const limiter = yield* perSecond(limit, burst)
        const admitted: Array<{ readonly atMillis: number; readonly cost: number }> = []
        const arrive = ({ atMillis, cost, kind }: (typeof arrivals)[number]) => {
          const take = kind === "reject" ? limiter.reject(cost) : limiter.wait(cost)
          const note = Effect.map(Clock.currentTimeMillis, (atMillis) => {
            admitted.push({ atMillis, cost })
          })
          const run = Effect.asVoid(Effect.either(Effect.zipRight(take, note)))
          return Effect.delay(
            kind === "interrupt" ? Effect.asVoid(Effect.timeoutOption(run, 200)) : run,
            atMillis
          )
        }
        const fiber = yield* Effect.fork(Effect.forEach(arrivals, arrive, { concurrency: "unbounded" }))
        yield* TestClock.adjust("1 day")
        yield* Fiber.join(fiber)
        for (const [from, first] of admitted.entries()) {
          let sum = 0
          for (const last of admitted.slice(from)) {
            sum += last.cost
            expect((sum - burst) * 1_000).toBeLessThanOrEqual(limit * (last.atMillis - first.atMillis))
          }
        }
        const waited = arrivals.filter(({ cost, kind }) => kind === "wait" && cost <= burst)
        expect(admitted.length).toBeGreaterThanOrEqual(waited.length)
      }),
    { fastCheck: { numRuns: 15 } }
  )

  it.effect("waits longer than any timer when the rate asks for it, without such a timer", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make("slow", { limit: 1, interval: "1 day", burst: 40 })
      yield* limiter.wait(40)
      const { passed } = yield* forkWaiters(limiter, [40])
      expect(Chunk.toReadonlyArray(yield* TestClock.sleeps())).toEqual([2 ** 31 - 1])
      yield* TestClock.adjust("39 days")
      expect(passed).toEqual([])
      yield* TestClock.adjust("1 day")
      expect(passed).toEqual([[0, Duration.toMillis("40 days")]])
    }))

  it.effect("fails typed for a cost that the bucket can never hold", () =>
    Effect.gen(function*() {
      const limiter = yield* perSecond(10, 3)
      for (const cost of [4, 0, -1, 1.5, Number.NaN, Infinity]) {
        for (const take of [limiter.wait, limiter.reject]) {
          const error = yield* Effect.flip(take(cost))
          expect(error._tag).toBe("CostOutOfRange")
          expect(error.message).toContain("from 1 to 3")
        }
      }
    }))

  it.effect("fails typed for options that are out of range, naming the option", () =>
    Effect.gen(function*() {
      const option = (limit: number, interval: Duration.DurationInput, burst?: number) =>
        RateLimiter.make("bad", burst === undefined ? { limit, interval } : { limit, interval, burst }).pipe(
          Effect.flip,
          Effect.map((error) => error.option)
        )
      for (const limit of [0, -1, 0.5, Number.NaN, Infinity, 1_000_001]) {
        expect(yield* option(limit, "1 second")).toBe("limit")
        expect(yield* option(1, "1 second", limit)).toBe("burst")
      }
      for (const interval of [0, Number.NaN, 0.5, Infinity, "2 days"] as const) {
        expect(yield* option(1, interval)).toBe("interval")
      }
    }))

  it("reads rates per second, minute and hour", () => {
    const seconds = (input: string) =>
      Either.map(RateLimiter.parseRate(input), ({ interval, limit }) => [limit, Duration.toSeconds(interval)])
    expect(seconds("20/s")).toEqual(Either.right([20, 1]))
    expect(seconds("100/m")).toEqual(Either.right([100, 60]))
    expect(seconds(" 1000000/h ")).toEqual(Either.right([1_000_000, 3_600]))
  })

  it("refuses a text that is not a rate, and says what to write", () => {
    for (
      const input of [
        "",
        "20",
        "20/",
        "/s",
        "0/s",
        "-1/s",
        "0.5/s",
        "20/d",
        "20 per s",
        "1000001/s",
        "1e3/s",
        "20/s/s"
      ]
    ) {
      const error = Either.getOrThrow(Either.flip(RateLimiter.parseRate(input)))
      expect(error.message).toContain(`"${input}" is not a rate: write a whole number`)
      expect(error.message).toContain("20/s, 100/m or 5/h")
    }
  })
})
