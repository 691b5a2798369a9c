import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as Encoded from "@holdfast/agents/Encoded"
import * as FaultyCommitLog from "@holdfast/agents/FaultyCommitLog"
import * as Memory from "@holdfast/agents/Memory"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { backends } from "./backends.ts"

const Numbers = TaskQueue.make("numbers", { payload: Schema.Number })

const Texts = TaskQueue.make("texts", { payload: Schema.String })

const item = (n: number) => ({ id: `n${n}`, payload: n })

const claimable = Effect.flatMap(CommitLog, (log) =>
  Effect.map(
    log.commit([
      TaskOperation.claimTasks({ queue: "numbers", limit: 1, nowMillis: Number.MAX_SAFE_INTEGER })
    ]),
    ([{ tasks }]) => tasks.length > 0
  ))

const contents = Effect.gen(function*() {
  const store = yield* TaskStore
  const tasks = yield* store.tasks({ queue: "numbers", limit: 100_000 })
  return { ids: tasks.map(({ id }) => id), stats: yield* TaskQueue.stats("numbers") }
})

describe.each(backends)("TaskQueue.load on $name", ({ numRuns, storage }) => {
  it.scopedLive.prop(
    "law: a load cut short by a crash at any commit is simply done again, and nothing is claimable before it is whole",
    {
      count: FastCheck.integer({ min: 1, max: 2_500 }),
      crash: FastCheck.integer({ min: 1, max: 5 }),
      when: FastCheck.constantFrom("CrashBefore" as const, "CrashAfter" as const)
    },
    ({ count, crash, when }) =>
      Effect.gen(function*() {
        const stored = yield* storage
        const load = TaskQueue.load(Numbers, Stream.map(Stream.range(1, count), item))
        const plan: FaultyCommitLog.Plan = (commit) => (commit === crash ? { _tag: when } : null)
        // Unseal, chunks, seal.
        const commits = 2 + Math.ceil(count / 1_000)
        const sealedAt = when === "CrashAfter" ? commits : commits + 1
        const { crashed } = yield* Effect.gen(function*() {
          const log = yield* FaultyCommitLog.FaultyCommitLog
          const done = Effect.as(load, { crashed: false })
          return yield* Effect.raceFirst(Effect.disconnect(done), Effect.as(log.crashed, { crashed: true }))
        }).pipe(Effect.provide(Layer.provideMerge(FaultyCommitLog.layer(plan), stored)))
        expect(crashed).toBe(crash <= commits)
        yield* Effect.gen(function*() {
          if (crash < sealedAt) {
            // Before it was unsealed there was nothing in it; after that it is closed.
            expect(yield* claimable).toBe(false)
          }
          const { duplicates, enqueued } = yield* load
          expect(enqueued + duplicates).toBe(count)
          const { ids, stats } = yield* contents
          expect(ids).toEqual(Array.from({ length: count }, (_, index) => item(index + 1).id))
          expect(stats).toMatchObject({ sealed: true, counts: { ready: count } })
          expect(yield* claimable).toBe(true)
        }).pipe(Effect.provide(stored))
      }),
    { fastCheck: { numRuns: Math.ceil(numRuns / 4) } }
  )

  it.scopedLive("is closed to claims all the while, and also when its source fails or an item is too large", () =>
    Effect.gen(function*() {
      const seen: Array<boolean> = []
      const watched = (count: number) =>
        Stream.range(1, count).pipe(
          Stream.map(item),
          Stream.tap(({ payload }) =>
            payload % 700 === 0 ? Effect.map(claimable, (is) => void seen.push(is)) : Effect.void
          )
        )
      const failing = Stream.concat(watched(1_500), Stream.fail("the source failed" as const))
      expect(yield* Effect.flip(TaskQueue.load(Numbers, failing))).toBe("the source failed")
      expect(yield* claimable).toBe(false)
      yield* TaskQueue.load(Numbers, watched(2_500))
      expect(seen).toEqual([false, false, false, false, false])
      const large = { id: "large", payload: "x".repeat(Encoded.bytesMaxDefault) }
      const texts = Stream.make({ id: "small", payload: "x" }, large)
      expect((yield* Effect.flip(TaskQueue.load(Texts, texts)))._tag).toBe("PayloadTooLarge")
      expect(yield* TaskQueue.stats("texts")).toMatchObject({ sealed: false })
    }).pipe(Effect.provide(Layer.unwrapScoped(storage))))
})

describe("TaskQueue.load", () => {
  it.effect("writes chunks of at most 1,000 tasks and 4 MiB, without losing or reordering any", () => {
    const chunks: Array<{ readonly tasks: number; readonly bytes: number }> = []
    const watch: FaultyCommitLog.Plan = (_, [operation]) => {
      const op = operation as TaskOperation.TaskOperation
      if (op._tag === "EnqueueTasks") {
        const bytes = op.tasks.reduce((sum, task) => sum + Encoded.byteLength(task.payload), 0)
        chunks.push({ tasks: op.tasks.length, bytes })
      }
      return null
    }
    return Effect.gen(function*() {
      const sizes = [...Array.from({ length: 1_200 }, () => 10), ...Array.from({ length: 10 }, () => 900_000)]
      const items = sizes.map((size, index) => ({ id: String(index), payload: "x".repeat(size) }))
      expect(yield* TaskQueue.load(Texts, Stream.fromIterable(items))).toEqual({
        enqueued: 1_210,
        duplicates: 0
      })
      const tasks = yield* Effect.flatMap(TaskStore, (store) => store.tasks({ limit: 10_000 }))
      expect(tasks.map(({ id }) => id)).toEqual(items.map(({ id }) => id))
      expect(chunks.map(({ tasks }) => tasks)).toEqual([1_000, 204, 4, 2])
      expect(Math.max(...chunks.map(({ bytes }) => bytes))).toBeLessThanOrEqual(TaskQueue.enqueueBytesMax)
    }).pipe(Effect.provide(Layer.provideMerge(FaultyCommitLog.layer(watch), Memory.layer)))
  })

  it.effect("seals an empty load, and keeps the queue's other settings", () =>
    Effect.gen(function*() {
      yield* TaskQueue.update("numbers", (settings) => ({ ...settings, paused: true, label: "mine" }))
      expect(yield* TaskQueue.load(Numbers, Stream.empty)).toEqual({ enqueued: 0, duplicates: 0 })
      expect(yield* TaskQueue.stats("numbers")).toMatchObject({ sealed: true, paused: true, label: "mine" })
    }).pipe(Effect.provide(Memory.layer)))
})
