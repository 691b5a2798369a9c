/**
 * Queues and tasks in memory: a persistent value, and what each operation makes of it.
 */
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as RedBlackTree from "effect/RedBlackTree"
import * as Queue from "./Queue.ts"
import * as Task from "./Task.ts"
import type * as TaskOperation from "./TaskOperation.ts"
import { QueueFull, Superseded, VersionConflict } from "./TaskOperation.ts"

type Ready = RedBlackTree.RedBlackTree<Task.Task, null>

/** All queues and tasks; never changed in place, so that an earlier value is an undo. */
export interface MemoryTasks {
  readonly queues: HashMap.HashMap<string, Queue.Queue>
  readonly tasks: HashMap.HashMap<number, Task.Task>
  readonly sequences: HashMap.HashMap<string, number>
  readonly ready: HashMap.HashMap<string, Ready>
  readonly sequence: number
}

/** Nothing enqueued. */
export const empty: MemoryTasks = {
  queues: HashMap.empty(),
  tasks: HashMap.empty(),
  sequences: HashMap.empty(),
  ready: HashMap.empty(),
  sequence: 0
}

/** What an operation leaves behind, and its result. */
export type Applied = Either.Either<
  { readonly state: MemoryTasks; readonly result: unknown },
  VersionConflict | QueueFull | Superseded
>

/** Applies one operation for a node. */
export const apply = (state: MemoryTasks, node: string, op: TaskOperation.TaskOperation): Applied => {
  switch (op._tag) {
    case "PutQueue":
      return putQueue(state, op)
    case "EnqueueTasks":
      return enqueue(state, op)
    case "ClaimTasks":
      return claim(state, node, op)
    case "SettleTask":
      return settle(state, op)
    case "RetryTasks":
      return changeAll(state, retryable(state, op), op.queue, (task) => retried(task, op.nowMillis))
    case "SkipTasks":
      return changeAll(
        state,
        first(inQueue(state, op.queue, ["ready"]), op.limit),
        op.queue,
        (task, queue) => ({
          ...task,
          status: "skipped",
          finishedAtMillis: op.nowMillis,
          finishSequence: queue.finishSequence + 1
        })
      )
    case "PurgeTasks":
      return purge(state, op)
    case "ReleaseClaims":
      return release(state, op)
  }
}

/** The queue's row, or that of a queue nobody has touched. */
export const queueOf = (state: MemoryTasks, name: string): Queue.Queue =>
  Option.getOrElse(HashMap.get(state.queues, name), () => Queue.empty(name))

/** A task by its id. */
export const taskById = (state: MemoryTasks, queue: string, id: string): Option.Option<Task.Task> =>
  Option.flatMap(
    HashMap.get(state.sequences, key(queue, id)),
    (sequence) => HashMap.get(state.tasks, sequence)
  )

/** Tasks that pass, in enqueue order. */
export const select = (state: MemoryTasks, passes: (task: Task.Task) => boolean): ReadonlyArray<Task.Task> =>
  Array.from(HashMap.values(state.tasks)).filter(passes).sort((a, b) => a.sequence - b.sequence)

const key = (queue: string, id: string) => `${queue}\u0000${id}`

const done = (state: MemoryTasks, result: unknown): Applied => Either.right({ state, result })

const setQueue = (state: MemoryTasks, queue: Queue.Queue): MemoryTasks => ({
  ...state,
  queues: HashMap.set(state.queues, queue.name, queue)
})

const readyOf = (state: MemoryTasks, queue: string): Ready =>
  Option.getOrElse(
    HashMap.get(state.ready, queue),
    () => RedBlackTree.empty<Task.Task, null>(Task.claimOrder)
  )

/** Replaces or removes a task and keeps the counts and the ready tree in step. */
const replace = (state: MemoryTasks, before: Task.Task | null, after: Task.Task | null): MemoryTasks => {
  const name = (after ?? before)?.queue
  const sequence = (after ?? before)?.sequence
  if (name === undefined || sequence === undefined) return state
  let ready = readyOf(state, name)
  if (before?.status === "ready") ready = RedBlackTree.removeFirst(ready, before)
  if (after?.status === "ready") ready = RedBlackTree.insert(ready, after, null)
  let queue = Queue.move(queueOf(state, name), before?.status ?? null, after?.status ?? null, 1)
  if (after?.finishSequence !== null && after?.finishSequence !== undefined) {
    queue = { ...queue, finishSequence: Math.max(queue.finishSequence, after.finishSequence) }
  }
  return {
    ...setQueue(state, queue),
    ready: HashMap.set(state.ready, name, ready),
    tasks: after === null ? HashMap.remove(state.tasks, sequence) : HashMap.set(state.tasks, sequence, after)
  }
}

const putQueue = (state: MemoryTasks, op: TaskOperation.PutQueue): Applied => {
  const queue = queueOf(state, op.queue)
  if (queue.version !== op.base) {
    return Either.left(new VersionConflict({ queue: op.queue, base: op.base, current: queue.version }))
  }
  const version = op.base + 1
  return done(setQueue(state, { ...queue, ...op.settings, version }), { version })
}

const enqueue = (state: MemoryTasks, op: TaskOperation.EnqueueTasks): Applied => {
  const queue = queueOf(state, op.queue)
  const next = op.tasks.reduce((tasks, task) => add(tasks, op, task), state)
  const size = Queue.unfinished(queueOf(next, op.queue))
  const enqueued = next.sequence - state.sequence
  if (queue.sizeMax !== null && enqueued > 0 && size > queue.sizeMax) {
    return Either.left(
      new QueueFull({ queue: op.queue, unfinished: Queue.unfinished(queue), sizeMax: queue.sizeMax })
    )
  }
  return done(next, { enqueued, duplicates: op.tasks.length - enqueued })
}

const add = (state: MemoryTasks, op: TaskOperation.EnqueueTasks, task: Task.NewTask): MemoryTasks => {
  if (HashMap.has(state.sequences, key(op.queue, task.id))) return state
  const sequence = state.sequence + 1
  const sequences = HashMap.set(state.sequences, key(op.queue, task.id), sequence)
  const added = { ...task, ...fresh, queue: op.queue, sequence, enqueuedAtMillis: op.nowMillis }
  return replace({ ...state, sequence, sequences }, null, added)
}

const fresh = {
  status: "ready",
  attempt: 0,
  activation: 0,
  node: null,
  outcome: null,
  startedAtMillis: null,
  finishedAtMillis: null,
  finishSequence: null
} as const

const claim = (state: MemoryTasks, node: string, op: TaskOperation.ClaimTasks): Applied => {
  const queue = queueOf(state, op.queue)
  const unfinished = Queue.unfinished(queue)
  const tasks: Array<Task.ClaimedTask> = []
  let next = state
  let nextDueMillis: number | null = null
  for (const task of Queue.isOpen(queue) ? RedBlackTree.keys(readyOf(state, op.queue)) : []) {
    if (tasks.length === op.limit) break
    if (task.notBeforeMillis > op.nowMillis) {
      nextDueMillis = Math.min(nextDueMillis ?? task.notBeforeMillis, task.notBeforeMillis)
      continue
    }
    const claimed: Task.ClaimedTask = {
      ...task,
      status: "running",
      node,
      attempt: task.attempt + 1,
      activation: task.activation + 1,
      startedAtMillis: op.nowMillis
    }
    next = replace(next, task, claimed)
    tasks.push(claimed)
  }
  return done(next, { tasks, nextDueMillis: tasks.length > 0 ? null : nextDueMillis, unfinished })
}

const settle = (state: MemoryTasks, op: TaskOperation.SettleTask): Applied => {
  const task = Option.getOrNull(HashMap.get(state.tasks, op.sequence))
  if (task === null || task.status !== "running" || task.activation !== op.activation) {
    return Either.left(
      new Superseded({ queue: op.queue, sequence: op.sequence, activation: op.activation })
    )
  }
  const next = replace(state, task, settled(task, op, queueOf(state, task.queue).finishSequence + 1))
  const queue = Queue.recordDeaths(
    queueOf(next, task.queue),
    op.settlement._tag === "Dead" ? 1 : 0,
    op.settlement._tag === "Completed" ? 1 : 0
  )
  return done(setQueue(next, queue), undefined)
}

const settled = (task: Task.Task, op: TaskOperation.SettleTask, finishSequence: number): Task.Task => {
  const { settlement } = op
  const finished = { ...task, node: null, finishedAtMillis: op.nowMillis, finishSequence }
  switch (settlement._tag) {
    case "Completed":
      return { ...finished, status: "completed", outcome: settlement.outcome }
    case "Dead":
      return { ...finished, status: "dead", outcome: settlement.outcome }
    case "Retry":
      return {
        ...task,
        node: null,
        status: "ready",
        outcome: settlement.outcome,
        notBeforeMillis: settlement.notBeforeMillis
      }
    case "Released":
      return { ...task, node: null, status: "ready", attempt: task.attempt - 1 }
  }
}

const inQueue = (state: MemoryTasks, queue: string, statuses: ReadonlyArray<Task.TaskStatus>) =>
  select(state, (task) => task.queue === queue && statuses.includes(task.status))

const first = <A>(items: ReadonlyArray<A>, limit: number): ReadonlyArray<A> => items.slice(0, limit)

const retryable = (state: MemoryTasks, op: TaskOperation.RetryTasks): ReadonlyArray<Task.Task> =>
  op.id === null
    ? first(inQueue(state, op.queue, ["dead", "skipped"]).toSorted(byFinish), op.limit)
    : Option.toArray(taskById(state, op.queue, op.id)).filter((task) =>
      task.status === "dead" || task.status === "skipped"
    )

const byFinish = (a: Task.Task, b: Task.Task) => (a.finishSequence ?? 0) - (b.finishSequence ?? 0)

const retried = (task: Task.Task, nowMillis: number): Task.Task => ({
  ...task,
  status: "ready",
  attempt: 0,
  notBeforeMillis: nowMillis,
  finishedAtMillis: null,
  finishSequence: null
})

const changeAll = (
  state: MemoryTasks,
  tasks: ReadonlyArray<Task.Task>,
  queue: string,
  change: (task: Task.Task, queue: Queue.Queue) => Task.Task
): Applied => {
  const next = tasks.reduce((s, task) => replace(s, task, change(task, queueOf(s, queue))), state)
  return done(next, tasks.length)
}

const purge = (state: MemoryTasks, op: TaskOperation.PurgeTasks): Applied => {
  const tasks = first(inQueue(state, op.queue, ["ready", "completed", "dead", "skipped"]), op.limit)
  const next = tasks.reduce((s, task) => replace(s, task, null), state)
  const sequences = tasks.reduce((s, task) => HashMap.remove(s, key(task.queue, task.id)), next.sequences)
  return done({ ...next, sequences }, tasks.length)
}

const release = (state: MemoryTasks, op: TaskOperation.ReleaseClaims): Applied => {
  const tasks = first(
    select(state, (task) => task.status === "running" && task.node === op.node),
    op.limit
  )
  const outcome = JSON.stringify({ _tag: "Lost", node: op.node })
  const next = tasks.reduce((s, task) => {
    const last = task.attempt >= task.attemptsMax
    const finishSequence = queueOf(s, task.queue).finishSequence + 1
    const after: Task.Task = last
      ? { ...task, node: null, status: "dead", outcome, finishedAtMillis: op.nowMillis, finishSequence }
      : { ...task, node: null, status: "ready", outcome, notBeforeMillis: task.notBeforeMillis }
    const replaced = replace(s, task, after)
    return last ? setQueue(replaced, Queue.recordDeaths(queueOf(replaced, task.queue), 1, 0)) : replaced
  }, state)
  return done(next, tasks.length)
}
