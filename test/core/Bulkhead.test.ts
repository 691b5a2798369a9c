import { assert, describe, it } from "@effect/vitest"
import * as Bulkhead from "@holdfast/core/Bulkhead"
import * as BulkheadConfig from "@holdfast/core/BulkheadConfig"
import * as BulkheadState from "@holdfast/core/BulkheadState"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import { pipe } from "effect/Function"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as FiberTracker from "effect/Supervisor"
import * as TestClock from "effect/TestClock"

class Refused extends Data.TaggedError("Refused")<{}> {}

const zero = BulkheadState.initial

/** The two sums that `Counts` promises. */
const assertAddsUp = (counts: Bulkhead.Counts) => {
  assert.strictEqual(
    counts.submitted,
    counts.rejected + counts.expired + counts.withdrawn + counts.started + counts.queued
  )
  assert.strictEqual(
    counts.started,
    counts.completed + counts.failed + counts.died + counts.interrupted + counts.timedOut + counts.active
  )
}

/** A pool whose only permit is held until it is let go. */
const occupied = (options: Omit<BulkheadConfig.Options, "concurrency">) =>
  Effect.gen(function*() {
    const pool = yield* Bulkhead.make("test", { concurrency: 1, ...options })
    const held = yield* Deferred.make<void>()
    const holder = yield* Effect.fork(Bulkhead.protect(Deferred.await(held), pool))
    yield* TestClock.adjust(0)
    return { pool, holder, letGo: Deferred.succeed(held, undefined) }
  })

const ends = {
  success: Effect.void,
  failure: new Refused(),
  defect: Effect.die("bug"),
  interruption: Effect.interrupt
}

const tasks = FastCheck.array(
  FastCheck.record({
    atMillis: FastCheck.nat(60),
    forMillis: FastCheck.nat(30),
    end: FastCheck.constantFrom<keyof typeof ends>("success", "failure", "defect", "interruption"),
    way: FastCheck.constantFrom<"protect" | "whenReady" | "inTime">("protect", "whenReady", "inTime"),
    cutAtMillis: FastCheck.option(FastCheck.nat(90), { nil: undefined })
  }),
  { maxLength: 25 }
)

describe("Bulkhead", () => {
  it.effect.prop(
    "law: at most the concurrency runs at once, counters add up, and nothing is left behind",
    {
      concurrency: FastCheck.integer({ min: 1, max: 4 }),
      queue: FastCheck.nat(5),
      queueTimeout: FastCheck.option(FastCheck.integer({ min: 1, max: 20 }), { nil: undefined }),
      tasks
    },
    ({ concurrency, queue, queueTimeout, tasks }) =>
      Effect.gen(function*() {
        const pool = yield* Bulkhead.make("law", {
          concurrency,
          queue,
          ...(queueTimeout === undefined ? {} : { queueTimeout })
        })
        const seen = { running: 0, began: 0 }
        const run = ({ atMillis, cutAtMillis, end, forMillis, way }: (typeof tasks)[number]) => {
          const task = Effect.acquireUseRelease(
            Effect.gen(function*() {
              seen.running += 1
              seen.began += 1
              assert.isAtMost(seen.running, concurrency)
              const counts = yield* pool.counts
              assert.isAtLeast(counts.active, seen.running)
              assertAddsUp(counts)
            }),
            () => Effect.zipRight(Effect.sleep(forMillis), ends[end]),
            () =>
              Effect.sync(() => {
                seen.running -= 1
              })
          )
          const protectedTask = {
            protect: Bulkhead.protect(task, pool),
            whenReady: Bulkhead.protectWhenReady(task, pool),
            inTime: Bulkhead.protect(task, pool, { timeout: 15 })
          }[way]
          const cut = cutAtMillis === undefined ? Effect.never : Effect.sleep(cutAtMillis)
          return Effect.exit(Effect.raceFirst(Effect.delay(protectedTask, atMillis), cut))
        }
        const all = yield* Effect.fork(Effect.forEach(tasks, run, { concurrency: "unbounded" }))
        yield* TestClock.adjust("1 minute")
        assert.isTrue(Option.isSome(yield* Fiber.poll(all)), "somebody still waits")
        const exits = yield* Fiber.join(all)
        const bugs = exits.filter((exit) =>
          Exit.isFailure(exit) && Chunk.some(Cause.defects(exit.cause), (bug) => bug !== "bug")
        )
        assert.deepStrictEqual(bugs, [])
        const counts = yield* pool.counts
        assertAddsUp(counts)
        assert.deepStrictEqual([counts.active, counts.queued, seen.running], [0, 0, 0])
        assert.isAtLeast(counts.started, seen.began)
        yield* Bulkhead.forEach(Arr.range(1, concurrency), () => Effect.void, pool)
        assert.strictEqual((yield* pool.counts).completed, counts.completed + concurrency)
      }),
    { fastCheck: { numRuns: 60 } }
  )

  it.effect("gives permits first come, first served, whichever way they are asked for", () =>
    Effect.gen(function*() {
      const { letGo, pool } = yield* occupied({})
      const order: Array<number> = []
      const fibers = yield* Effect.forEach(Arr.range(0, 9), (index) => {
        const note = Effect.zipRight(
          Effect.sync(() => {
            order.push(index)
          }),
          Effect.yieldNow()
        )
        const way = index % 2 === 0 ? Bulkhead.protect : Bulkhead.protectWhenReady
        return Effect.fork(way(note, pool))
      })
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* pool.counts).queued, 10)
      yield* letGo
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(order, Arr.range(0, 9))
    }))

  it.effect("lets a newcomer not overtake a waiter that was just given its permit", () =>
    Effect.gen(function*() {
      const { letGo, pool } = yield* occupied({ queue: 1 })
      const waiter = yield* Effect.fork(Bulkhead.protect(Effect.never, pool))
      yield* TestClock.adjust(0)
      yield* letGo
      yield* Effect.fork(Effect.yieldNow())
      const late = yield* Effect.fork(Bulkhead.protect(Effect.void, pool))
      yield* TestClock.adjust(0)
      const { active, queued } = yield* pool.counts
      assert.deepStrictEqual([active, queued], [1, 1])
      yield* Fiber.interrupt(waiter)
      yield* Fiber.join(late)
    }))

  it.effect("refuses at once when the line is full, while those who wait without a bound still join", () =>
    Effect.gen(function*() {
      const { letGo, pool } = yield* occupied({ queue: 1 })
      const second = yield* Effect.fork(Bulkhead.protect(Effect.void, pool))
      yield* TestClock.adjust(0)
      const error = yield* Effect.flip(Bulkhead.protect(Effect.void, pool))
      assert.deepStrictEqual(error, new Bulkhead.BulkheadFull({ pool: "test", concurrency: 1, queue: 1 }))
      assert.strictEqual(error.message, `pool "test" is full: 1 may run and 1 may wait`)
      const third = yield* Effect.fork(Bulkhead.protectWhenReady(Effect.void, pool))
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* pool.counts).queued, 2)
      yield* letGo
      yield* Fiber.joinAll([second, third])
      assert.strictEqual((yield* pool.counts).rejected, 1)
    }))

  it.effect("gives up waiting after the queue timeout, and such a waiter never gets the permit", () =>
    Effect.gen(function*() {
      const { letGo, pool } = yield* occupied({ queueTimeout: "1 second" })
      const waiter = yield* Effect.fork(Effect.flip(Bulkhead.protect(Effect.die("ran"), pool)))
      yield* TestClock.adjust("999 millis")
      assert.strictEqual((yield* pool.counts).queued, 1)
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(waiter)
      assert.strictEqual(error._tag, "BulkheadTimeout")
      assert.strictEqual(error.message, `pool "test" had no permit free within 1s`)
      yield* letGo
      yield* TestClock.adjust(0)
      const { active, expired, started } = yield* pool.counts
      assert.deepStrictEqual({ active, expired, started }, { active: 0, expired: 1, started: 1 })
    }))

  it.effect("returns the permit of a waiter that is interrupted as its turn comes", () =>
    Effect.forEach(Arr.range(0, 20), (yields) =>
      Effect.gen(function*() {
        const { letGo, pool } = yield* occupied(yields % 2 === 0 ? {} : { queueTimeout: "1 second" })
        const waiter = yield* Effect.fork(Bulkhead.protect(Effect.never, pool))
        yield* TestClock.adjust(0)
        yield* letGo
        yield* Effect.repeatN(Effect.yieldNow(), yields)
        yield* Fiber.interrupt(waiter)
        const counts = yield* pool.counts
        assertAddsUp(counts)
        assert.strictEqual(counts.active, 0)
        assert.strictEqual(counts.queued, 0)
        yield* Bulkhead.protect(Effect.void, pool)
      })))

  it.effect("counts each way of ending apart", () =>
    Effect.gen(function*() {
      const pool = yield* Bulkhead.make("test", { concurrency: 1 })
      for (const end of Object.values(ends)) yield* Effect.exit(Bulkhead.protect(end, pool))
      const slow = yield* Effect.fork(
        Effect.flip(Bulkhead.protect(Effect.never, pool, { timeout: "2 seconds" }))
      )
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(
        yield* Fiber.join(slow),
        new Bulkhead.TaskTimedOut({ pool: "test", timeout: Duration.seconds(2) })
      )
      const ended = { completed: 1, failed: 1, died: 1, interrupted: 1, timedOut: 1 }
      assert.deepStrictEqual(yield* pool.counts, { ...zero, submitted: 5, started: 5, ...ended })
    }))

  it.effect("runs a task in the fiber of its caller", () =>
    Effect.gen(function*() {
      const pool = yield* Bulkhead.make("test", { concurrency: 1 })
      assert.deepStrictEqual(yield* Bulkhead.protect(Effect.fiberId, pool), yield* Effect.fiberId)
    }))

  it.effect("keeps the permit of a task that ran out of time until it has ended", () =>
    Effect.gen(function*() {
      const pool = yield* Bulkhead.make("test", { concurrency: 1 })
      const ending = Effect.onInterrupt(Effect.never, () => Effect.sleep("1 second"))
      const slow = yield* Effect.fork(Effect.flip(Bulkhead.protect(ending, pool, { timeout: "1 second" })))
      yield* TestClock.adjust("1900 millis")
      assert.strictEqual((yield* pool.counts).active, 1)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* Fiber.join(slow))._tag, "TaskTimedOut")
      assert.strictEqual((yield* pool.counts).active, 0)
    }))

  it.effect.prop(
    "law: each item fails for itself, and results come in the order of the items",
    {
      items: FastCheck.array(
        FastCheck.record({
          millis: FastCheck.nat(20),
          end: FastCheck.constantFrom<keyof typeof ends | "throw">(
            "success",
            "failure",
            "defect",
            "throw",
            "interruption"
          )
        }),
        { maxLength: 30 }
      ),
      concurrency: FastCheck.integer({ min: 1, max: 5 })
    },
    ({ concurrency, items }) =>
      Effect.gen(function*() {
        const pool = yield* Bulkhead.make("items", { concurrency, queue: 0 })
        let most = 0
        const f = ({ end, millis }: (typeof items)[number]) => {
          if (end === "throw") throw new Error("thrown")
          const ended = end === "success" ? Effect.succeed(millis) : Effect.as(ends[end], millis)
          const look = Effect.map(pool.counts, ({ active, queued }) => {
            most = Math.max(most, active, queued)
          })
          return Effect.zipRight(look, Effect.delay(ended, millis))
        }
        const kind = <E>(exit: Exit.Exit<number, E>): string =>
          Exit.match(exit, {
            onSuccess: String,
            onFailure: (cause) =>
              Cause.isDie(cause) ? "died" : Cause.isFailure(cause) ? "failure" : "interruption"
          })
        const expected = items.map(({ end, millis }) =>
          end === "success" ? String(millis) : end === "throw" || end === "defect" ? "died" : end
        )
        const ordered = yield* Effect.fork(Bulkhead.forEach(items, f, pool))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual((yield* Fiber.join(ordered)).map(kind), expected)
        const unordered = yield* Effect.fork(Stream.runCollect(Bulkhead.stream(items, f, pool)))
        yield* TestClock.adjust("1 minute")
        const results = Chunk.toReadonlyArray(yield* Fiber.join(unordered))
        assert.sameDeepMembers(
          results.map(({ exit, item }) => [items.indexOf(item), kind(exit)]),
          expected.map((kind, index) => [index, kind])
        )
        assert.isAtMost(most, concurrency)
        const counts = yield* pool.counts
        assertAddsUp(counts)
        assert.deepStrictEqual([counts.active, counts.queued], [0, 0])
        assert.strictEqual(counts.submitted, 2 * items.length)
      }),
    { fastCheck: { numRuns: 30 } }
  )

  it.effect("emits results in the order in which they are there, each item within its time", () =>
    Effect.gen(function*() {
      const pool = yield* Bulkhead.make("items", { concurrency: 3 })
      const collected = yield* Effect.fork(
        pipe(
          [30, 500, 10],
          Bulkhead.stream((millis: number) => Effect.sleep(millis), pool, { timeout: 100 }),
          Stream.runCollect
        )
      )
      yield* TestClock.adjust("1 second")
      const results = Chunk.toReadonlyArray(yield* Fiber.join(collected))
      assert.deepStrictEqual(results.map(({ item }) => item), [10, 30, 500])
      assert.strictEqual((yield* pool.counts).timedOut, 1)
    }))

  it.effect("interrupts the items in hand and begins no other when its caller is interrupted", () =>
    Effect.gen(function*() {
      const pool = yield* Bulkhead.make("items", { concurrency: 3 })
      const all = yield* Effect.fork(Bulkhead.forEach(Arr.range(1, 100), () => Effect.never, pool))
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(all)
      assert.deepStrictEqual(yield* pool.counts, { ...zero, submitted: 3, started: 3, interrupted: 3 })
    }))

  it.effect("keeps pools apart, each behind the tag of its layer", () => {
    class Computation extends Context.Tag("test/Computation")<Computation, Bulkhead.Bulkhead>() {}
    return Effect.gen(function*() {
      const { pool } = yield* occupied({ queue: 0 })
      const computation = yield* Computation
      assert.strictEqual((yield* Effect.flip(Bulkhead.protect(Effect.void, pool)))._tag, "BulkheadFull")
      yield* Bulkhead.protect(Effect.void, computation)
      assert.strictEqual((yield* computation.counts).completed, 1)
    }).pipe(Effect.provide(Bulkhead.layer(Computation, "computation", { concurrency: 1 })))
  })

  it.effect("leaves nothing behind after 10,000 tasks that wait, are cut short, or fail", () =>
    Effect.gen(function*() {
      const pool = yield* Bulkhead.make("leak", { concurrency: 2, queueTimeout: "1 second" })
      const tracker = yield* FiberTracker.track
      yield* Effect.supervised(
        Effect.forEach(Arr.range(1, 2_500), (round) =>
          Effect.gen(function*() {
            const fibers = yield* Effect.forEach(Arr.range(0, 3), (index) =>
              Effect.fork(
                Bulkhead.protect(
                  index === round % 4 ? new Refused() : Effect.yieldNow(),
                  pool
                )
              ))
            if (round % 3 === 0) yield* Effect.yieldNow()
            yield* Effect.forEach(
              fibers,
              (fiber, index) => index % 2 === 0 ? Fiber.interrupt(fiber) : Fiber.await(fiber)
            )
          })),
        tracker
      )
      const counts = yield* pool.counts
      assertAddsUp(counts)
      assert.deepStrictEqual([counts.active, counts.queued], [0, 0])
      assert.isAbove(counts.started, 5_000)
      assert.deepStrictEqual(yield* tracker.value, [])
    }))

  it.effect("fails typed for options that are out of range, naming the option", () =>
    Effect.gen(function*() {
      const refused = (options: Partial<BulkheadConfig.Options>) =>
        Effect.map(
          Effect.flip(Bulkhead.make("bad", { concurrency: 1, ...options })),
          ({ option }) => option
        )
      for (const wrong of [-1, 1.5, Number.NaN, Infinity, BulkheadConfig.countMax + 1]) {
        assert.strictEqual(yield* refused({ concurrency: wrong }), "concurrency")
        assert.strictEqual(yield* refused({ queue: wrong }), "queue")
      }
      assert.strictEqual(yield* refused({ concurrency: 0 }), "concurrency")
      for (const queueTimeout of [0, Number.NaN, Infinity, "25 days"] as const) {
        assert.strictEqual(yield* refused({ queueTimeout }), "queueTimeout")
      }
      const error = yield* Effect.flip(Bulkhead.make("bad", { concurrency: 0 }))
      assert.strictEqual(
        error.message,
        `pool "bad": concurrency must be a whole number from 1 to 100000, not 0`
      )
    }))
})
