/**
 * Storage in memory: one shared state behind every port, for tests and for programs without SQL.
 */
import * as MemoryRecords from "@holdfast/core/MemoryRecords"
import { RecordStore } from "@holdfast/core/RecordStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { CommitLog } from "./CommitLog.ts"
import * as MemoryTasks from "./MemoryTasks.ts"
import type * as Operation from "./Operation.ts"
import * as Queue from "./Queue.ts"
import * as QueueSignals from "./QueueSignals.ts"
import * as Task from "./Task.ts"
import * as TaskOperation from "./TaskOperation.ts"
import { TaskStore } from "./TaskStore.ts"

/** What outlives a log: logs on the same storage see one another's commits, as processes on one file do. */
export interface MemoryStorage {
  tasks: MemoryTasks.MemoryTasks
  readonly records: MemoryRecords.MemoryRecords
  /** How many logs were opened on it; the last one is the only one alive. */
  logs: number
}

/** Makes an empty storage. */
export const storage = (): MemoryStorage => ({
  tasks: MemoryTasks.empty,
  records: MemoryRecords.memory(),
  logs: 0
})

/** The ports over a given storage; what an earlier log on it had claimed and not settled is released first. */
export const layerFrom = (storage: MemoryStorage): Layer.Layer<CommitLog | RecordStore | TaskStore> =>
  Layer.effectContext(Effect.clockWith((clock) =>
    Effect.map(clock.currentTimeMillis, (nowMillis) => {
      releaseOthers(storage, nowMillis)
      return ports(storage)
    })
  ))

/** The ports over a storage of their own. */
export const layer: Layer.Layer<CommitLog | RecordStore | TaskStore> = Layer.suspend(() =>
  layerFrom(storage())
)

const nodeName = (log: number) => `memory-${log}`

const releaseOthers = (storage: MemoryStorage, nowMillis: number): void => {
  const limit = Number.MAX_SAFE_INTEGER
  storage.tasks = HashMap.reduce(storage.tasks.tasks, storage.tasks, (state, task) =>
    task.node === null
      ? state
      : commit(state, "", [TaskOperation.releaseClaims({ node: task.node, limit, nowMillis })]).state)
  storage.logs += 1
}

const ports = (storage: MemoryStorage): Context.Context<CommitLog | RecordStore | TaskStore> => {
  const node = nodeName(storage.logs)
  const signals = QueueSignals.make()
  return Context.make(CommitLog, commitLog(storage, node, signals)).pipe(
    Context.add(TaskStore, taskStore(storage, signals)),
    Context.add(RecordStore, MemoryRecords.make(storage.records))
  )
}

const commitLog = (
  storage: MemoryStorage,
  node: string,
  signals: QueueSignals.QueueSignals
): CommitLog["Type"] => ({
  commit: <const Ops extends ReadonlyArray<Operation.Any>>(operations: Ops) =>
    Effect.suspend(() => {
      const before = storage.tasks
      const { refusal, results, state } = commit(before, node, operations)
      if (refusal !== undefined) return Effect.fail(refusal as Operation.Refusal<Ops[number]>)
      storage.tasks = state
      notifyChanges(before, state, signals)
      return Effect.as(Effect.yieldNow(), results as Operation.Results<Ops>)
    }),
  fenced: Effect.never
})

const commit = (before: MemoryTasks.MemoryTasks, node: string, ops: ReadonlyArray<Operation.Any>) => {
  let state = before
  const results: Array<unknown> = []
  for (const op of ops) {
    const applied = MemoryTasks.apply(state, node, op as TaskOperation.TaskOperation)
    if (applied._tag === "Left") return { state: before, results, refusal: applied.left }
    state = applied.right.state
    results.push(applied.right.result)
  }
  return { state, results, refusal: undefined }
}

const notifyChanges = (
  before: MemoryTasks.MemoryTasks,
  after: MemoryTasks.MemoryTasks,
  signals: QueueSignals.QueueSignals
): void => {
  HashMap.forEach(after.queues, (queue, name) => {
    const old = MemoryTasks.queueOf(before, name)
    if (old !== queue && Queue.wakes(old, queue)) signals.notify(name)
  })
}

const taskStore = (storage: MemoryStorage, signals: QueueSignals.QueueSignals): TaskStore["Type"] => ({
  queue: (name) => Effect.sync(() => HashMap.get(storage.tasks.queues, name)),
  queues: Effect.sync(() =>
    Array.from(HashMap.values(storage.tasks.queues)).sort((a, b) => (a.name < b.name ? -1 : 1))
  ),
  task: (queue, id) => Effect.sync(() => MemoryTasks.taskById(storage.tasks, queue, id)),
  tasks: (query) =>
    Effect.sync(() =>
      MemoryTasks.select(storage.tasks, (task) =>
        (query.queue === undefined || task.queue === query.queue) &&
        (query.status === undefined || task.status === query.status) &&
        task.enqueuedAtMillis >= (query.sinceMillis ?? -Infinity) &&
        task.sequence > (query.after ?? 0)).slice(0, query.limit)
    ),
  finished: (queue, after, limit) =>
    Effect.sync(() =>
      MemoryTasks.select(storage.tasks, (task) => task.queue === queue && Task.isFinished(task.status))
        .flatMap((task) =>
          Option.toArray(Option.map(Option.fromNullable(task.finishSequence), (at) => ({ task, at })))
        )
        .filter(({ at }) => at > after)
        .sort((a, b) => a.at - b.at)
        .slice(0, limit)
        .map(({ task }) => task)
    ),
  changed: signals.await
})
