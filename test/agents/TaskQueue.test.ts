import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as Encoded from "@holdfast/agents/Encoded"
import * as FaultyCommitLog from "@holdfast/agents/FaultyCommitLog"
import * as Memory from "@holdfast/agents/Memory"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import * as TaskOutcome from "@holdfast/agents/TaskOutcome"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"

const Numbers = TaskQueue.make("numbers", { payload: Schema.Number, success: Schema.Number, attemptsMax: 3 })

const Texts = TaskQueue.make("texts", { payload: Schema.String })

const items = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ id: String(from + index), payload: from + index }))

const ids = (queue: string) =>
  Effect.flatMap(
    TaskStore,
    (store) => Effect.map(store.tasks({ queue, limit: 100_000 }), (tasks) => tasks.map(({ id }) => id))
  )

const claim = (queue: string, limit: number) =>
  Effect.flatMap(CommitLog, (log) =>
    Effect.map(
      log.commit([TaskOperation.claimTasks({ queue, limit, nowMillis: Number.MAX_SAFE_INTEGER })]),
      ([{ tasks }]) => tasks
    ))

describe("TaskQueue", () => {
  it.effect("adds a task with the queue's defaults and the item's priority and delay", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000)
      yield* TaskQueue.enqueue(Numbers, { id: "a", payload: 7, priority: -2, delay: "3 seconds" })
      yield* TaskQueue.enqueue(Texts, { payload: "x" })
      const store = yield* TaskStore
      expect(yield* store.tasks({ limit: 9 })).toMatchObject([
        { queue: "numbers", id: "a", payload: "7", priority: -2, notBeforeMillis: 4_000, attemptsMax: 3 },
        { queue: "texts", payload: `"x"`, priority: 0, notBeforeMillis: 1_000, attemptsMax: 4 }
      ])
    }).pipe(Effect.provide(Memory.layer)))

  it.effect("makes every task unique that has no id, and ignores an id it has, whatever else the item says", () =>
    Effect.gen(function*() {
      const twice = { payload: 1 }
      expect(yield* TaskQueue.enqueueAll(Numbers, [twice, twice])).toEqual({ enqueued: 2, duplicates: 0 })
      yield* TaskQueue.enqueue(Numbers, { id: "a", payload: 1 })
      const again = yield* TaskQueue.enqueueAll(Numbers, [{ id: "b", payload: 1 }, { id: "a", payload: 2 }])
      expect(again).toEqual({ enqueued: 1, duplicates: 1 })
      const task = yield* Effect.flatMap(TaskStore, (store) => store.task("numbers", "a"))
      expect(Option.map(task, ({ payload }) => payload)).toEqual(Option.some("1"))
    }).pipe(Effect.provide(Memory.layer)))

  it.effect("takes 1,000 tasks or 4 MiB at once, refuses more with a typed error, and writes nothing then", () =>
    Effect.gen(function*() {
      const tooMany = yield* Effect.flip(TaskQueue.enqueueAll(Numbers, items(1_001)))
      expect(tooMany).toMatchObject({ _tag: "EnqueueTooLarge", queue: "numbers", tasks: 1_001 })
      const mebi = "x".repeat(Encoded.bytesMaxDefault - 2)
      const tooLarge = yield* Effect.flip(
        TaskQueue.enqueueAll(Texts, [mebi, mebi, mebi, mebi, ""].map((payload) => ({ payload })))
      )
      expect(tooLarge).toMatchObject({ _tag: "EnqueueTooLarge", tasks: 5, bytes: 4 * 1024 * 1024 + 2 })
      expect(yield* ids("numbers")).toEqual([])
      expect(yield* ids("texts")).toEqual([])
      yield* TaskQueue.enqueueAll(Numbers, items(1_000))
      yield* TaskQueue.enqueueAll(Texts, [mebi, mebi, mebi, mebi].map((payload) => ({ payload })))
      expect((yield* TaskQueue.stats("numbers")).counts.ready).toBe(1_000)
      expect((yield* TaskQueue.stats("texts")).counts.ready).toBe(4)
    }).pipe(Effect.provide(Memory.layer)))

  it.effect("refuses an oversized or impossible payload before anything is written, also of the tasks beside it", () =>
    Effect.gen(function*() {
      const large = "x".repeat(Encoded.bytesMaxDefault - 1)
      const error = yield* Effect.flip(TaskQueue.enqueueAll(Texts, [{ payload: "fine" }, { payload: large }]))
      expect(error).toMatchObject({
        _tag: "PayloadTooLarge",
        what: "payload of queue texts",
        bytes: 1024 * 1024 + 1
      })
      const Positive = TaskQueue.make("positive", { payload: Schema.Positive })
      const invalid = yield* Effect.flip(TaskQueue.enqueueAll(Positive, [{ payload: 1 }, { payload: -1 }]))
      expect(invalid._tag).toBe("ParseError")
      expect(yield* Effect.flatMap(TaskStore, (store) => store.queues)).toEqual([])
    }).pipe(Effect.provide(Memory.layer)))

  it.live("applies every one of many changes of the settings made at once", () =>
    Effect.gen(function*() {
      const add = TaskQueue.update(
        "numbers",
        (settings) => ({ ...settings, label: `${settings.label ?? ""}x` })
      )
      yield* Effect.replicateEffect(add, 20, { concurrency: "unbounded", discard: true })
      expect(yield* TaskQueue.stats("numbers")).toMatchObject({ label: "x".repeat(20), version: 20 })
    }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))

  it.effect("gives nothing out while it is paused, and can be told to retry, skip and purge meanwhile", () =>
    Effect.gen(function*() {
      yield* TaskQueue.enqueueAll(Numbers, items(3))
      yield* TaskQueue.pause("numbers")
      expect(yield* claim("numbers", 9)).toEqual([])
      expect(yield* TaskQueue.skipReady("numbers")).toBe(3)
      expect(yield* TaskQueue.retry("numbers", "1")).toBe(true)
      expect(yield* TaskQueue.retry("numbers", "1")).toBe(false)
      expect(yield* TaskQueue.retryAll("numbers")).toBe(2)
      yield* TaskQueue.resume("numbers")
      expect(yield* claim("numbers", 2)).toHaveLength(2)
      expect(yield* TaskQueue.purge("numbers")).toBe(1)
      expect((yield* TaskQueue.stats("numbers")).counts).toMatchObject({ ready: 0, running: 2, skipped: 0 })
    }).pipe(Effect.provide(Memory.layer)))

  it.effect("skips, retries and purges any number in chunks of 1,000", () => {
    const limits: Array<unknown> = []
    const watch: FaultyCommitLog.Plan = (_, [operation]) => {
      limits.push(operation !== undefined && "limit" in operation ? operation.limit : null)
      return null
    }
    return Effect.gen(function*() {
      for (const from of [0, 1_000, 2_000]) {
        yield* TaskQueue.enqueueAll(Numbers, items(from === 2_000 ? 500 : 1_000, from))
      }
      limits.length = 0
      expect(yield* TaskQueue.skipReady("numbers")).toBe(2_500)
      expect(yield* TaskQueue.retryAll("numbers")).toBe(2_500)
      expect(yield* TaskQueue.purge("numbers")).toBe(2_500)
      expect(limits).toEqual(Array.from({ length: 9 }, () => 1_000))
    }).pipe(Effect.provide(Layer.provideMerge(FaultyCommitLog.layer(watch), Memory.layer)))
  })

  it.effect("decodes what came of a task with its own schemas", () =>
    Effect.gen(function*() {
      yield* TaskQueue.enqueueAll(Numbers, items(1))
      const [task] = yield* claim("numbers", 1)
      if (task === undefined) return yield* Effect.die("nothing claimed")
      expect(yield* TaskQueue.outcome(Numbers, task)).toEqual(Option.none())
      const outcome = TaskOutcome.encode({ _tag: "Success", value: "5" })
      expect(yield* TaskQueue.outcome(Numbers, { ...task, outcome })).toEqual(
        Option.some({ _tag: "Success", value: 5 })
      )
      const wrong = yield* Effect.flip(TaskQueue.outcome(Texts, { ...task, outcome }))
      expect(wrong._tag).toBe("ParseError")
    }).pipe(Effect.provide(Memory.layer)))
})
