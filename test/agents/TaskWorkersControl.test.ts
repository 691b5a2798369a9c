import { describe, expect, it } from "@effect/vitest"
import * as Memory from "@holdfast/agents/Memory"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import * as TaskWorkers from "@holdfast/agents/TaskWorkers"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as TestClock from "effect/TestClock"
import { enqueue, JobFailed, Jobs, jobState, makeScript, onMemory, poll, settleFibers } from "./workers.ts"

describe("TaskWorkers: control", () => {
  it.scoped.prop(
    "law: as many tasks run at once as there are workers or tasks, and never more",
    {
      concurrency: FastCheck.integer({ min: 1, max: 5 }),
      tasks: FastCheck.array(FastCheck.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 15 }),
      gated: FastCheck.boolean()
    },
    ({ concurrency, gated, tasks }) =>
      onMemory(Effect.gen(function*() {
        yield* enqueue(...tasks.map((seconds, index) => `${index}:${seconds}`))
        let running = 0
        let most = 0
        const pool = yield* TaskWorkers.make(
          Jobs,
          (name) =>
            Effect.gen(function*() {
              most = Math.max(most, ++running)
              yield* Effect.sleep(`${Number(name.split(":")[1])} seconds`)
              running -= 1
              return name
            }),
          { concurrency, poll, until: "drained", ...(gated ? { gate: Effect.void } : {}) }
        )
        yield* settleFibers
        expect(running).toBe(Math.min(concurrency, tasks.length))
        yield* TestClock.adjust("5 minutes")
        yield* pool.await
        expect(most).toBe(Math.min(concurrency, tasks.length))
        expect((yield* TaskQueue.stats("jobs")).counts.completed).toBe(tasks.length)
      })),
    { fastCheck: { numRuns: 12 } }
  )

  it.scoped("drains: claims nothing more and ends when the tasks in hand have ended and are settled", () =>
    onMemory(Effect.gen(function*() {
      yield* enqueue("a", "b", "c", "d")
      const script = yield* makeScript
      const pool = yield* TaskWorkers.make(Jobs, script.run, { concurrency: 2, poll })
      yield* settleFibers
      const draining = yield* Effect.fork(pool.drain)
      const ended = yield* Effect.fork(pool.await)
      yield* settleFibers
      yield* script.finish("a")
      yield* settleFibers
      expect([draining.unsafePoll(), ended.unsafePoll()]).toEqual([null, null])
      yield* script.finish("b")
      yield* draining.await
      yield* ended.await
      expect(script.begun).toEqual(["a", "b"])
      expect((yield* TaskQueue.stats("jobs")).counts).toMatchObject({ completed: 2, ready: 2, running: 0 })
    })))

  it.scoped("drains at once when it is idle, paused, or held at its gate, and again when it has", () =>
    onMemory(Effect.gen(function*() {
      const script = yield* makeScript
      const idle = yield* TaskWorkers.make(Jobs, script.run, { concurrency: 3, poll })
      yield* settleFibers
      yield* idle.drain
      yield* enqueue("a")
      yield* TaskQueue.pause("jobs")
      const paused = yield* TaskWorkers.make(Jobs, script.run, { concurrency: 3, poll })
      yield* settleFibers
      yield* paused.drain
      yield* TaskQueue.resume("jobs")
      const held = yield* TaskWorkers.make(Jobs, script.run, { concurrency: 3, poll, gate: Effect.never })
      yield* settleFibers
      yield* held.drain
      yield* held.drain
      expect(script.begun).toEqual([])
    })))

  it.scoped("ends by itself when nothing unfinished is left, waiting for what is delayed or runs elsewhere", () =>
    onMemory(Effect.gen(function*() {
      yield* enqueue("a")
      yield* TaskQueue.enqueue(Jobs, { id: "late", payload: "late", delay: "1 hour" })
      const script = yield* makeScript
      const elsewhere = yield* TaskWorkers.make(Jobs, script.run, { concurrency: 1, poll })
      yield* settleFibers
      yield* Effect.fork(elsewhere.drain)
      const at: Array<number> = []
      const failOnce = Effect.flatMap(Clock.currentTimeMillis, (millis) => {
        at.push(millis)
        return at.length === 1 ? new JobFailed({ why: "first" }) : Effect.succeed("late")
      })
      const pool = yield* TaskWorkers.make(Jobs, () => failOnce, { concurrency: 2, poll, until: "drained" })
      const ended = yield* Effect.fork(pool.await)
      yield* TestClock.adjust("1 hour")
      yield* TestClock.adjust("11 seconds")
      expect(at).toEqual([3_600_000, 3_610_000])
      expect(ended.unsafePoll()).toBeNull()
      yield* script.finish("a")
      yield* ended.await
    })))

  it.scoped("ends at once on a queue that has nothing to do", () =>
    onMemory(Effect.gen(function*() {
      const pool = yield* TaskWorkers.make(Jobs, Effect.succeed, { concurrency: 3, poll, until: "drained" })
      yield* pool.await
    })))

  it.scoped("claims nothing of a paused queue, whose tasks can be retried meanwhile, and goes on when it is resumed", () =>
    onMemory(Effect.gen(function*() {
      yield* enqueue("a", "b")
      const script = yield* makeScript
      yield* TaskWorkers.make(Jobs, script.run, { concurrency: 1, poll })
      yield* settleFibers
      yield* TaskQueue.pause("jobs")
      yield* script.finish("a")
      yield* settleFibers
      expect(yield* jobState("a")).toMatchObject({ status: "completed" })
      yield* TaskQueue.skipReady("jobs")
      expect(yield* TaskQueue.retry("jobs", "b")).toBe(true)
      yield* TestClock.adjust("1 minute")
      expect(script.begun).toEqual(["a"])
      yield* TaskQueue.resume("jobs")
      yield* settleFibers
      expect(script.begun).toEqual(["a", "b"])
    })))

  it.scoped("passes its gate once before each claim, and before no other", () =>
    onMemory(Effect.gen(function*() {
      yield* enqueue("a", "b", "c")
      const passes = yield* Queue.unbounded<void>()
      const script = yield* makeScript
      yield* TaskWorkers.make(Jobs, script.run, { concurrency: 2, poll, gate: Queue.take(passes) })
      yield* settleFibers
      expect(script.begun).toEqual([])
      for (const begun of [["a"], ["a", "b"]]) {
        yield* Queue.offer(passes, undefined)
        yield* settleFibers
        expect(script.begun).toEqual(begun)
      }
      yield* script.finish("a")
      yield* settleFibers
      expect(script.begun).toEqual(["a", "b"])
      yield* Queue.offer(passes, undefined)
      yield* settleFibers
      expect(script.begun).toEqual(["a", "b", "c"])
    })))

  it.scoped("begins a task without time passing, at whatever step of a pool that looks for one it is enqueued", () =>
    Effect.forEach(
      Array.from({ length: 30 }, (_, steps) => steps),
      (steps) =>
        onMemory(Effect.gen(function*() {
          yield* enqueue("a")
          const script = yield* makeScript
          const pool = yield* TaskWorkers.make(Jobs, script.run, { concurrency: 1, poll })
          yield* settleFibers
          yield* script.finish("a")
          yield* Effect.repeatN(Effect.yieldNow(), steps)
          yield* enqueue("b")
          yield* settleFibers
          expect(script.begun).toEqual(["a", "b"])
          yield* script.finish("b")
          yield* pool.drain
        }))
    ))

  it.scoped("begins what is delayed exactly when it is due", () =>
    onMemory(Effect.gen(function*() {
      const at: Array<number> = []
      const run = () => Effect.map(Clock.currentTimeMillis, (millis) => String(at.push(millis)))
      yield* TaskQueue.enqueue(Jobs, { payload: "late", delay: "1234 millis" })
      yield* TaskWorkers.make(Jobs, run, { concurrency: 1, poll })
      yield* TestClock.adjust("2 minutes")
      expect(at).toEqual([1_234])
    })))

  it.scoped("finds within its poll interval what others enqueued of whom it hears nothing", () =>
    Effect.gen(function*() {
      const storage = Memory.storage()
      const script = yield* makeScript
      const mine = yield* Layer.build(Memory.layerFrom(storage))
      yield* Effect.provide(TaskWorkers.make(Jobs, script.run, { concurrency: 2, poll: "1 minute" }), mine)
      yield* settleFibers
      yield* Effect.provide(enqueue("a"), Memory.layerFrom(storage))
      yield* TestClock.adjust("59 seconds")
      expect(script.begun).toEqual([])
      yield* TestClock.adjust("1 second")
      expect(script.begun).toEqual(["a"])
    }))
})
