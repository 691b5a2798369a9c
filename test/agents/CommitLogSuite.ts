import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import type { Queue } from "@holdfast/agents/Queue"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import { TaskStore } from "@holdfast/agents/TaskStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type * as Layer from "effect/Layer"
import * as TaskOrder from "./TaskOrder.ts"
import * as TaskReplay from "./TaskReplay.ts"
import * as TaskScript from "./TaskScript.ts"

/** What every commit log must do with units of several operations, and with many units at once. */
export const commitLogSuite = (
  name: string,
  layer: Layer.Layer<CommitLog | TaskStore, StorageError>,
  numRuns: number
) =>
  describe(`CommitLog on ${name}`, () => {
    it.live.prop(
      "law: units submitted at once are answered as in some order that keeps every lane's",
      { rounds: FastCheck.array(FastCheck.array(unit, { minLength: 1, maxLength: 4 }), { maxLength: 15 }) },
      ({ rounds }) => Effect.provide(replayAtOnce(rounds), layer),
      { fastCheck: { numRuns } }
    )

    it.live.prop(
      "law: operations of one lane in one unit take effect in the order they are given",
      {
        before: FastCheck.array(TaskScript.step, { maxLength: 10 }),
        unit: FastCheck.array(laneStep, { minLength: 2, maxLength: 4 })
      },
      ({ before, unit }) => Effect.provide(replayInOrder([...before.map((step) => [step]), unit]), layer),
      { fastCheck: { numRuns } }
    )

    it.live("writes nothing of a unit with a refused operation, and all of the units beside it", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const store = yield* TaskStore
        const full = TaskOperation.putQueue({ queue: "full", base: 0, settings: { ...settings, sizeMax: 1 } })
        yield* log.commit([full])
        const results = yield* Effect.all([
          Effect.either(log.commit([enqueue("a", "1"), enqueue("full", "1")])),
          Effect.either(log.commit([enqueue("b", "1"), enqueue("full", "2"), enqueue("c", "1")])),
          Effect.either(log.commit([enqueue("c", "2")])),
          Effect.either(log.commit([full]))
        ], { concurrency: "unbounded" })
        expect(results.map(({ _tag }) => _tag)).toEqual(["Right", "Left", "Right", "Left"])
        expect(results[1]).toMatchObject({
          left: { _tag: "QueueFull", queue: "full", unfinished: 1, sizeMax: 1 }
        })
        expect(results[3]).toMatchObject({
          left: { _tag: "VersionConflict", queue: "full", base: 0, current: 1 }
        })
        const tasks = yield* store.tasks({ limit: 10 })
        expect(tasks.map(({ id, queue }) => `${queue}${id}`)).toEqual(["a1", "full1", "c2"])
      }).pipe(Effect.provide(layer)))

    it.live("takes one operation submitted twice at once for two", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        yield* Effect.all([log.commit([enqueue("q", "1")]), log.commit([enqueue("q", "2")])])
        const claim = TaskOperation.claimTasks({ queue: "q", limit: 1, nowMillis: 0 })
        const claims = yield* Effect.all([log.commit([claim]), log.commit([claim])], {
          concurrency: "unbounded"
        })
        expect(claims.map(([{ tasks }]) => tasks.map(({ id }) => id))).toEqual([["1"], ["2"]])
        const once = enqueue("q", "3")
        const [first, again] = yield* log.commit([once, once])
        expect([first.enqueued, again.enqueued]).toEqual([1, 0])
      }).pipe(Effect.provide(layer)))

    it.live("answers many units of one tick, each with its own results", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const ids = Array.from({ length: 500 }, (_, index) => String(index % 300))
        const results = yield* Effect.forEach(ids, (id) => log.commit([enqueue("q", id)]), {
          concurrency: "unbounded"
        })
        expect(results.map(([{ enqueued }]) => enqueued)).toEqual(
          ids.map((_, index) => (index < 300 ? 1 : 0))
        )
        expect(yield* log.commit([])).toEqual([])
        const tasks = yield* (yield* TaskStore).tasks({ limit: 1_000 })
        expect(tasks.map(({ id }) => id)).toEqual(Array.from({ length: 300 }, (_, index) => String(index)))
      }).pipe(Effect.provide(layer)))
  })

const settings = { paused: false, sealed: true, sizeMax: null, errorThreshold: null, label: null }

const enqueue = (queue: string, id: string) =>
  TaskOperation.enqueueTasks({
    queue,
    tasks: [{ id, priority: 0, notBeforeMillis: 0, attemptsMax: 1, payload: "null" }],
    nowMillis: 0
  })

/** Units as programs make them: a settlement with the next claim, a queue with its first tasks, several queues at once. */
const unit: FastCheck.Arbitrary<ReadonlyArray<TaskScript.Step>> = FastCheck.oneof(
  { weight: 4, arbitrary: FastCheck.tuple(TaskScript.step) },
  { weight: 2, arbitrary: FastCheck.tuple(TaskScript.settleStep, TaskScript.claimStep) },
  { weight: 1, arbitrary: FastCheck.tuple(TaskScript.enqueueStep, TaskScript.enqueueStep) },
  { weight: 1, arbitrary: FastCheck.tuple(TaskScript.putStep, TaskScript.enqueueStep) }
)

const laneStep: FastCheck.Arbitrary<TaskScript.Step> = TaskScript.step
  .filter(({ do: what }) => ["put", "enqueue", "retry", "skip", "purge"].includes(what))
  .map((step) => ("queue" in step ? { ...step, queue: "a" } : step))

const replayInOrder = (units: ReadonlyArray<ReadonlyArray<TaskScript.Step>>) =>
  Effect.gen(function*() {
    const replay = TaskReplay.make()
    for (const [nowMillis, steps] of units.entries()) {
      const unit = TaskReplay.unitOf(replay, steps, nowMillis)
      const predicted = TaskReplay.predict(replay.model, unit)
      const actual = yield* TaskReplay.submit(replay, unit)
      expect(actual.outcome).toEqual(predicted.outcome)
      TaskReplay.remember(replay, predicted.claimed, actual.claimed)
      replay.model = predicted.model
    }
    const state = yield* TaskReplay.stateOf(replay)
    const expected = TaskReplay.modelState(replay.model)
    expect({ ...state, queues: state.queues.filter(isUsed) }).toEqual({
      ...expected,
      queues: expected.queues.filter(isUsed)
    })
  })

/** A queue that one unit fills and purges need not be remembered. */
const isUsed = ({ counts, finishSequence, version }: Queue) =>
  version > 0 || finishSequence > 0 || Object.values(counts).some((count) => count > 0)

const replayAtOnce = (rounds: ReadonlyArray<ReadonlyArray<ReadonlyArray<TaskScript.Step>>>) =>
  Effect.gen(function*() {
    const replay = TaskReplay.make()
    for (const [nowMillis, steps] of rounds.entries()) {
      const units = steps.map((unit) => TaskReplay.unitOf(replay, unit, nowMillis))
      const committed = yield* Effect.forEach(
        units,
        (unit) => Effect.map(TaskReplay.submit(replay, unit), (actual) => ({ unit, ...actual })),
        {
          concurrency: "unbounded"
        }
      )
      const state = comparable(yield* TaskReplay.stateOf(replay))
      const found = Array.from(TaskOrder.explain(replay.model, committed))
      const states = found.map(({ model }) => comparable(TaskReplay.modelState(model)))
      const right = states.findIndex((other) => TaskOrder.same(other, state))
      if (right < 0) expect(committed.map(({ outcome }) => outcome)).toEqual("explained by some order")
      const explanation = found[right]
      if (explanation === undefined) return yield* Effect.die("unreachable")
      replay.model = explanation.model
      for (const [task, claimed] of explanation.claims) TaskReplay.remember(replay, [task], [claimed])
    }
  })

/** The order in which tasks finished counts, not the numbers: a refused operation of the same batch may have used one. */
const comparable = (state: Effect.Effect.Success<ReturnType<typeof TaskReplay.stateOf>>) => ({
  queues: state.queues.filter(isUsed).map(({ finishSequence: _, ...queue }) => queue),
  tasks: state.tasks.map((task) => ({
    ...task,
    finishSequence: task.finishSequence === null
      ? null
      : state.tasks.filter((other) =>
        other.queue === task.queue && (other.finishSequence ?? Infinity) <= (task.finishSequence ?? 0)
      ).length
  }))
})
