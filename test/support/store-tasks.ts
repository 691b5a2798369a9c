import type { CommitError } from "@holdfast/agents/CommitLog"
import { CommitLog } from "@holdfast/agents/CommitLog"
import type { ClaimedTask } from "@holdfast/agents/Task"
import type { Superseded } from "@holdfast/agents/TaskOperation"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import type { QueueFull } from "@holdfast/agents/TaskOperation"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** Ids `name-0`, `name-1`, ... */
export const ids = (name: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `${name}-${index}`)

/** Adds tasks to a queue; yields how many it did not have. */
export const enqueue = (
  queue: string,
  newIds: ReadonlyArray<string>,
  options: { readonly attemptsMax?: number; readonly payload?: string } = {}
): Effect.Effect<number, CommitError | QueueFull, CommitLog> =>
  Effect.gen(function*() {
    const log = yield* CommitLog
    const nowMillis = yield* Clock.currentTimeMillis
    const { attemptsMax = 3, payload = "null" } = options
    const tasks = newIds.map((id) => ({ id, priority: 0, notBeforeMillis: 0, attemptsMax, payload }))
    const [{ enqueued }] = yield* log.commit([TaskOperation.enqueueTasks({ queue, tasks, nowMillis })])
    return enqueued
  })

/** Claims up to `limit` tasks. */
export const claim = (
  queue: string,
  limit: number
): Effect.Effect<ReadonlyArray<ClaimedTask>, CommitError, CommitLog> =>
  Effect.gen(function*() {
    const log = yield* CommitLog
    const nowMillis = yield* Clock.currentTimeMillis
    const [{ tasks }] = yield* log.commit([TaskOperation.claimTasks({ queue, limit, nowMillis })])
    return tasks
  })

/** Claims exactly `count` tasks, as they become claimable. */
export const claimAll = (
  queue: string,
  count: number
): Effect.Effect<ReadonlyArray<ClaimedTask>, CommitError, CommitLog> => {
  const tasks: Array<ClaimedTask> = []
  return Effect.suspend(() => claim(queue, count - tasks.length)).pipe(
    Effect.tap((claimed) => Effect.sync(() => tasks.push(...claimed))),
    Effect.repeat({ until: () => tasks.length === count, schedule: Schedule.spaced("10 millis") }),
    Effect.as(tasks)
  )
}

/** Completes a claimed task. */
export const complete = (
  task: Pick<ClaimedTask, "queue" | "sequence" | "activation">
): Effect.Effect<void, CommitError | Superseded, CommitLog> =>
  Effect.gen(function*() {
    const log = yield* CommitLog
    const nowMillis = yield* Clock.currentTimeMillis
    const { activation, queue, sequence } = task
    const settlement = { _tag: "Completed", outcome: `{"_tag":"Success","value":"null"}` } as const
    yield* log.commit([TaskOperation.settleTask({ queue, sequence, activation, settlement, nowMillis })])
  })
