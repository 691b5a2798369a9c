import type { QueueSettings } from "@holdfast/agents/Queue"
import type { NewTask, TaskStatus } from "@holdfast/agents/Task"
import type * as TaskOperation from "@holdfast/agents/TaskOperation"

/**
 * Queues and tasks as arrays, with every count made by counting: slow, and plain enough to be read as the specification.
 */
export interface TaskModel {
  queues: Array<ModelQueue>
  tasks: Array<ModelTask>
  /** How many tasks were ever added; a task's number is its place in that order. */
  added: number
}

export interface ModelQueue {
  name: string
  version: number
  settings: QueueSettings
  deadInRow: number
  finished: number
}

export interface ModelTask extends NewTask {
  queue: string
  number: number
  status: TaskStatus
  priority: number
  notBeforeMillis: number
  attempt: number
  activation: number
  node: string | null
  outcome: string | null
  enqueuedAtMillis: number
  startedAtMillis: number | null
  finishedAtMillis: number | null
  finishSequence: number | null
}

/** What an operation yields, or the tag and facts of its refusal. */
export type ModelAnswer = { readonly ok: unknown } | { readonly refused: Record<string, unknown> }

export const make = (): TaskModel => ({ queues: [], tasks: [], added: 0 })

/** All or nothing: a refusal leaves the model as it was. */
export const commit = (
  model: TaskModel,
  node: string,
  unit: ReadonlyArray<TaskOperation.TaskOperation>
): { readonly model: TaskModel; readonly answers: ReadonlyArray<unknown> } | {
  readonly refused: unknown
} => {
  const next = structuredClone(model)
  const answers: Array<unknown> = []
  for (const op of unit) {
    const answer = apply(next, node, op)
    if ("refused" in answer) return answer
    answers.push(answer.ok)
  }
  return { model: next, answers }
}

export const countOf = (model: TaskModel, queue: string, ...statuses: ReadonlyArray<TaskStatus>): number =>
  model.tasks.filter((task) => task.queue === queue && statuses.includes(task.status)).length

export const queueOf = (model: TaskModel, name: string): ModelQueue => {
  const found = model.queues.find((queue) => queue.name === name)
  if (found !== undefined) return found
  const settings = { paused: false, sealed: true, sizeMax: null, errorThreshold: null, label: null }
  return { name, version: 0, settings, deadInRow: 0, finished: 0 }
}

const stored = (model: TaskModel, name: string): ModelQueue => {
  const queue = queueOf(model, name)
  if (!model.queues.includes(queue)) model.queues.push(queue)
  return queue
}

const apply = (model: TaskModel, node: string, op: TaskOperation.TaskOperation): ModelAnswer => {
  switch (op._tag) {
    case "PutQueue":
      return put(model, op)
    case "EnqueueTasks":
      return enqueue(model, op)
    case "ClaimTasks":
      return claim(model, node, op)
    case "SettleTask":
      return settle(model, op)
    case "RetryTasks":
      return retry(model, op)
    case "SkipTasks":
      return skip(model, op)
    case "PurgeTasks":
      return purge(model, op)
    case "ReleaseClaims":
      return release(model, op)
  }
}

const put = (model: TaskModel, op: TaskOperation.PutQueue): ModelAnswer => {
  const current = queueOf(model, op.queue).version
  if (current !== op.base) {
    return { refused: { _tag: "VersionConflict", queue: op.queue, base: op.base, current } }
  }
  const queue = stored(model, op.queue)
  queue.version += 1
  queue.settings = op.settings
  return { ok: { version: queue.version } }
}

const enqueue = (model: TaskModel, op: TaskOperation.EnqueueTasks): ModelAnswer => {
  const fresh: Array<NewTask> = []
  for (const task of op.tasks) {
    const known = model.tasks.some(({ id, queue }) => queue === op.queue && id === task.id)
    if (!known && !fresh.some(({ id }) => id === task.id)) fresh.push(task)
  }
  const { sizeMax } = queueOf(model, op.queue).settings
  const unfinished = countOf(model, op.queue, "ready", "running")
  if (sizeMax !== null && fresh.length > 0 && unfinished + fresh.length > sizeMax) {
    return { refused: { _tag: "QueueFull", queue: op.queue, unfinished, sizeMax } }
  }
  if (fresh.length > 0) stored(model, op.queue)
  for (const task of fresh) {
    model.tasks.push({
      ...task,
      queue: op.queue,
      number: ++model.added,
      status: "ready",
      attempt: 0,
      activation: 0,
      node: null,
      outcome: null,
      enqueuedAtMillis: op.nowMillis,
      startedAtMillis: null,
      finishedAtMillis: null,
      finishSequence: null
    })
  }
  return { ok: { enqueued: fresh.length, duplicates: op.tasks.length - fresh.length } }
}

const claim = (model: TaskModel, node: string, op: TaskOperation.ClaimTasks): ModelAnswer => {
  const { paused, sealed } = queueOf(model, op.queue).settings
  const unfinished = countOf(model, op.queue, "ready", "running")
  const claimable = paused || !sealed
    ? []
    : model.tasks.filter((task) => task.queue === op.queue && task.status === "ready")
  const due = claimable.filter((task) => task.notBeforeMillis <= op.nowMillis)
    .sort((a, b) =>
      a.priority !== b.priority
        ? a.priority - b.priority
        : a.notBeforeMillis !== b.notBeforeMillis
        ? a.notBeforeMillis - b.notBeforeMillis
        : a.number - b.number
    )
    .slice(0, op.limit)
  for (const task of due) {
    task.status = "running"
    task.node = node
    task.attempt += 1
    task.activation += 1
    task.startedAtMillis = op.nowMillis
  }
  const later = claimable.map((task) => task.notBeforeMillis)
  const nextDueMillis = due.length > 0 || later.length === 0 ? null : Math.min(...later)
  return { ok: { tasks: due.map((task) => ({ ...task })), nextDueMillis, unfinished } }
}

const settle = (model: TaskModel, op: TaskOperation.SettleTask): ModelAnswer => {
  const task = model.tasks.find(({ number }) => number === op.sequence)
  if (task?.status !== "running" || task.activation !== op.activation) {
    const { activation, queue, sequence } = op
    return { refused: { _tag: "Superseded", queue, sequence, activation } }
  }
  const queue = stored(model, task.queue)
  task.node = null
  if ("outcome" in op.settlement) task.outcome = op.settlement.outcome
  switch (op.settlement._tag) {
    case "Completed":
      finish(queue, task, "completed", op.nowMillis)
      queue.deadInRow = 0
      break
    case "Dead":
      finish(queue, task, "dead", op.nowMillis)
      countDeath(queue)
      break
    case "Retry":
      task.status = "ready"
      task.notBeforeMillis = op.settlement.notBeforeMillis
      break
    case "Released":
      task.status = "ready"
      task.attempt -= 1
  }
  return { ok: undefined }
}

const finish = (queue: ModelQueue, task: ModelTask, status: TaskStatus, nowMillis: number): void => {
  task.status = status
  task.finishedAtMillis = nowMillis
  task.finishSequence = ++queue.finished
}

const countDeath = (queue: ModelQueue): void => {
  queue.deadInRow += 1
  const { errorThreshold } = queue.settings
  if (errorThreshold === null || queue.deadInRow < errorThreshold) return
  queue.deadInRow = 0
  queue.version += 1
  queue.settings = { ...queue.settings, paused: true }
}

const retry = (model: TaskModel, op: TaskOperation.RetryTasks): ModelAnswer => {
  const tasks = model.tasks
    .filter((task) => task.queue === op.queue && (task.status === "dead" || task.status === "skipped"))
    .filter((task) => op.id === null || task.id === op.id)
    .sort((a, b) => (a.finishSequence ?? 0) - (b.finishSequence ?? 0))
    .slice(0, op.id === null ? op.limit : 1)
  for (const task of tasks) {
    task.status = "ready"
    task.attempt = 0
    task.notBeforeMillis = op.nowMillis
    task.finishedAtMillis = null
    task.finishSequence = null
  }
  return { ok: tasks.length }
}

const skip = (model: TaskModel, op: TaskOperation.SkipTasks): ModelAnswer => {
  const tasks = model.tasks
    .filter((task) => task.queue === op.queue && task.status === "ready")
    .slice(0, op.limit)
  for (const task of tasks) finish(stored(model, op.queue), task, "skipped", op.nowMillis)
  return { ok: tasks.length }
}

const purge = (model: TaskModel, op: TaskOperation.PurgeTasks): ModelAnswer => {
  const gone = model.tasks
    .filter((task) => task.queue === op.queue && task.status !== "running")
    .slice(0, op.limit)
  model.tasks = model.tasks.filter((task) => !gone.includes(task))
  return { ok: gone.length }
}

const release = (model: TaskModel, op: TaskOperation.ReleaseClaims): ModelAnswer => {
  const tasks = model.tasks
    .filter((task) => task.status === "running" && task.node === op.node)
    .slice(0, op.limit)
  for (const task of tasks) {
    task.node = null
    task.outcome = JSON.stringify({ _tag: "Lost", node: op.node })
    if (task.attempt < task.attemptsMax) {
      task.status = "ready"
      continue
    }
    const queue = stored(model, task.queue)
    finish(queue, task, "dead", op.nowMillis)
    countDeath(queue)
  }
  return { ok: tasks.length }
}
