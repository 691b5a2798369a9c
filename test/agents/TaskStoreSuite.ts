import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import type { Task } from "@holdfast/agents/Task"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import { TaskStore } from "@holdfast/agents/TaskStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type * as Layer from "effect/Layer"
import * as TaskReplay from "./TaskReplay.ts"
import * as TaskScript from "./TaskScript.ts"

/** What every storage of queues and tasks must do, one commit at a time. */
export const taskStoreSuite = (
  name: string,
  layer: Layer.Layer<CommitLog | TaskStore, StorageError>,
  numRuns: number
) =>
  describe(`TaskStore on ${name}`, () => {
    it.live.prop(
      "law: after any operations, answers, states, counts and order are those of the model",
      { ticks: ticks(60) },
      ({ ticks }) => Effect.provide(replayOneByOne(ticks), layer),
      { fastCheck: { numRuns } }
    )

    it.live.prop(
      "law: due tasks are claimed by priority, then not-before time, then enqueue order, from one queue alone",
      {
        bulks: FastCheck.array(TaskScript.enqueueStep, { minLength: 1, maxLength: 8 }),
        claims: FastCheck.array(FastCheck.record({ step: TaskScript.claimStep, after: FastCheck.nat(2) }), {
          minLength: 1,
          maxLength: 20
        })
      },
      ({ bulks, claims }) => Effect.provide(claimsInOrder(bulks, claims), layer),
      { fastCheck: { numRuns } }
    )

    it.live.prop(
      "law: lists are what passes their filter, in enqueue order, and pages of any size join up to them",
      {
        ticks: ticks(30),
        limit: FastCheck.integer({ min: 1, max: 7 }),
        since: FastCheck.nat(10)
      },
      ({ limit, since, ticks }) => Effect.provide(listsAgree(ticks, limit, since), layer),
      { fastCheck: { numRuns } }
    )

    it.live("shows a queue as soon as it has a task or settings, and not before", () =>
      Effect.gen(function*() {
        const { queue, queues, task } = yield* TaskStore
        yield* commit(enqueue("empty", []))
        yield* commit(TaskOperation.claimTasks({ queue: "claimed", limit: 1, nowMillis: 0 }))
        expect(yield* queues).toEqual([])
        expect(yield* queue("empty")).toMatchObject({ _tag: "None" })
        expect(yield* task("empty", "1")).toMatchObject({ _tag: "None" })
        yield* commit(enqueue("b", ["1"]))
        yield* commit(TaskOperation.putQueue({ queue: "a", base: 0, settings: paused }))
        expect((yield* queues).map(({ name, version }) => [name, version])).toEqual([["a", 1], ["b", 0]])
        expect(yield* queue("a")).toMatchObject({ value: { name: "a", ...paused } })
        expect(yield* task("b", "1")).toMatchObject({ value: { id: "1", status: "ready", payload: "\"1\"" } })
      }).pipe(Effect.provide(layer)))

    it.live("retries in the order in which tasks were given up, and lists what finished in that order", () =>
      Effect.gen(function*() {
        const { finished } = yield* TaskStore
        yield* commit(enqueue("q", ["1", "2", "3"]))
        const [{ tasks }] = yield* commit(TaskOperation.claimTasks({ queue: "q", limit: 3, nowMillis: 9 }))
        for (const task of tasks.toReversed()) yield* commit(settle(task, { _tag: "Dead", outcome: "1" }))
        expect((yield* finished("q", 1, 9)).map(({ id }) => id)).toEqual(["2", "1"])
        const retry = TaskOperation.retryTasks({ queue: "q", id: null, limit: 2, nowMillis: 9 })
        expect(yield* commit(retry)).toEqual([2])
        expect((yield* finished("q", 0, 9)).map(({ id }) => id)).toEqual(["1"])
      }).pipe(Effect.provide(layer)))

    it.live("tells who waits on a queue that there is more to claim, other settings, or nothing left", () =>
      Effect.gen(function*() {
        const { changed } = yield* TaskStore
        const wakes = (operation: TaskOperation.TaskOperation) =>
          Effect.gen(function*() {
            const waiting = yield* Effect.fork(changed("q"))
            yield* Effect.yieldNow()
            const [result] = yield* commit(operation)
            yield* waiting.await
            return result
          })
        yield* wakes(enqueue("q", ["1", "2"]))
        const other = yield* Effect.fork(changed("other"))
        yield* wakes(TaskOperation.putQueue({ queue: "q", base: 0, settings: paused }))
        yield* wakes(TaskOperation.putQueue({ queue: "q", base: 1, settings: { ...paused, paused: false } }))
        const claim = TaskOperation.claimTasks({ queue: "q", limit: 2, nowMillis: 9 })
        const [{ tasks: [first, last] }] = yield* (yield* CommitLog).commit([claim])
        if (first === undefined || last === undefined) return yield* Effect.die("nothing claimed")
        yield* wakes(settle(first, { _tag: "Released" }))
        const idle = yield* Effect.fork(changed("q"))
        yield* Effect.yieldNow()
        yield* commit(TaskOperation.skipTasks({ queue: "q", limit: 2, nowMillis: 9 }))
        yield* Effect.repeatN(Effect.yieldNow(), 9)
        expect(idle.unsafePoll()).toBeNull()
        yield* wakes(settle(last, { _tag: "Completed", outcome: "1" }))
        yield* wakes(TaskOperation.retryTasks({ queue: "q", id: "1", limit: 1, nowMillis: 9 }))
        expect(other.unsafePoll()).toBeNull()
      }).pipe(Effect.provide(layer)))
  })

const paused = { paused: true, sealed: true, sizeMax: 5, errorThreshold: 2, label: "l" }

const commit = <O extends TaskOperation.TaskOperation>(operation: O) =>
  Effect.flatMap(CommitLog, (log) => log.commit([operation]))

const enqueue = (queue: string, ids: ReadonlyArray<string>) =>
  TaskOperation.enqueueTasks({
    queue,
    tasks: ids.map((id) => ({
      id,
      priority: 0,
      notBeforeMillis: 0,
      attemptsMax: 1,
      payload: JSON.stringify(id)
    })),
    nowMillis: 0
  })

const settle = (task: Task, settlement: TaskOperation.Settlement) =>
  TaskOperation.settleTask({
    queue: task.queue,
    sequence: task.sequence,
    activation: task.activation,
    settlement,
    nowMillis: 9
  })

interface Tick {
  readonly step: TaskScript.Step
  readonly after: number
}

const ticks = (maxLength: number): FastCheck.Arbitrary<ReadonlyArray<Tick>> =>
  FastCheck.array(FastCheck.record({ step: TaskScript.step, after: FastCheck.nat({ max: 2 }) }), {
    minLength: maxLength / 3,
    maxLength
  })

const replaySteps = (
  replay: TaskReplay.Replay,
  ticks: ReadonlyArray<Tick>
) =>
  Effect.gen(function*() {
    let nowMillis = 0
    for (const { after, step } of ticks) {
      nowMillis += after
      const unit = TaskReplay.unitOf(replay, [step], nowMillis)
      const predicted = TaskReplay.predict(replay.model, unit)
      const actual = yield* TaskReplay.submit(replay, unit)
      expect(actual.outcome).toEqual(predicted.outcome)
      TaskReplay.remember(replay, predicted.claimed, actual.claimed)
      replay.model = predicted.model
    }
  })

const replayOneByOne = (ticks: ReadonlyArray<Tick>) =>
  Effect.gen(function*() {
    const replay = TaskReplay.make()
    yield* replaySteps(replay, ticks)
    expect(yield* TaskReplay.stateOf(replay)).toEqual(TaskReplay.modelState(replay.model))
  })

const claimsInOrder = (
  bulks: ReadonlyArray<TaskScript.Step>,
  claims: ReadonlyArray<{ readonly step: TaskScript.Step; readonly after: number }>
) =>
  Effect.gen(function*() {
    const replay = TaskReplay.make()
    yield* replaySteps(replay, bulks.map((step) => ({ step, after: 0 })))
    yield* replaySteps(replay, claims)
    expect(yield* TaskReplay.stateOf(replay)).toEqual(TaskReplay.modelState(replay.model))
  })

const listsAgree = (ticks: ReadonlyArray<Tick>, limit: number, sinceMillis: number) =>
  Effect.gen(function*() {
    yield* replaySteps(TaskReplay.make(), ticks)
    const { finished, queues, task, tasks } = yield* TaskStore
    const all = yield* tasks({ limit: 1_000 })
    for (const queue of [...(yield* queues).map(({ name }) => name), "nobody's"]) {
      const status = "ready"
      const passing = all.filter((task) =>
        task.queue === queue && task.status === status && task.enqueuedAtMillis >= sinceMillis
      )
      const page = (after: number) => tasks({ queue, status, sinceMillis, after, limit })
      expect(yield* pages(page, (last) => last.sequence)).toEqual(passing)
      const done = all.filter((task) => task.queue === queue && task.finishSequence !== null)
        .sort((a, b) => (a.finishSequence ?? 0) - (b.finishSequence ?? 0))
      const finishedPage = (after: number) => finished(queue, after, limit)
      expect(yield* pages(finishedPage, (last) => last.finishSequence ?? 0)).toEqual(done)
    }
    for (const one of all) expect(yield* task(one.queue, one.id)).toMatchObject({ value: one })
  })

const pages = <E>(
  page: (after: number) => Effect.Effect<ReadonlyArray<Task>, E>,
  next: (last: Task) => number
): Effect.Effect<ReadonlyArray<Task>, E> =>
  Effect.gen(function*() {
    const all: Array<Task> = []
    let last = yield* page(0)
    while (last.length > 0) {
      all.push(...last)
      last = yield* page(next(last[last.length - 1] as Task))
    }
    return all
  })
