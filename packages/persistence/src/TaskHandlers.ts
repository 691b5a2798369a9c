/**
 * Executes the operations of queues and tasks.
 */
import type * as Operation from "@holdfast/agents/Operation"
import * as Queue from "@holdfast/agents/Queue"
import type { ClaimedTask, NewTask, Task } from "@holdfast/agents/Task"
import { claimOrder } from "@holdfast/agents/Task"
import type * as TaskOperation from "@holdfast/agents/TaskOperation"
import { QueueFull, Superseded, VersionConflict } from "@holdfast/agents/TaskOperation"
import * as TaskOutcome from "@holdfast/agents/TaskOutcome"
import * as Either from "effect/Either"
import type { Weight } from "./CommitBuffer.ts"
import type { Answer, BatchContext, OperationHandlers } from "./OperationHandler.ts"
import * as QueueRows from "./QueueRows.ts"
import type { SqlPlan } from "./SqlPlan.ts"
import * as TaskRows from "./TaskRows.ts"

/** The handlers, in the order in which a batch executes them. */
export const handlers: OperationHandlers<TaskOperation.TaskOperation> = {
  PutQueue: putQueues,
  EnqueueTasks: enqueue,
  SettleTask: settle,
  RetryTasks: (ops, context) => each(ops, context, retry),
  SkipTasks: (ops, context) => each(ops, context, skip),
  PurgeTasks: (ops, context) => each(ops, context, purge),
  ReleaseClaims: (ops, context) => each(ops, context, release),
  ClaimTasks: claim
}

/** How much an operation weighs in a batch: its rows, and about how many bytes they have. */
export const weigh = (op: Operation.Any): Weight => {
  const known = op as TaskOperation.TaskOperation
  switch (known._tag) {
    case "EnqueueTasks":
      return {
        rows: known.tasks.length,
        bytes: known.tasks.reduce((sum, task) => sum + rowBytes + task.payload.length, 0)
      }
    case "SettleTask":
      return {
        rows: 1,
        bytes: rowBytes + ("outcome" in known.settlement ? known.settlement.outcome.length : 0)
      }
    default:
      return { rows: 1, bytes: rowBytes }
  }
}

const rowBytes = 100

const queueNames = (ops: ReadonlyArray<{ readonly queue: string }>) => ops.map((op) => op.queue)

/** Operations that are rare are executed one by one. */
function* each<O extends TaskOperation.TaskOperation>(
  ops: ReadonlyArray<O>,
  context: BatchContext,
  execute: (op: O, context: BatchContext) => SqlPlan<number>
): SqlPlan<ReadonlyArray<Either.Either<number>>> {
  const answers: Array<Either.Either<number>> = []
  for (const op of ops) answers.push(Either.right(yield* execute(op, context)))
  return answers
}

/** Only the last of several settings of one queue is written: the row is flushed once, with the batch. */
function* putQueues(
  ops: ReadonlyArray<TaskOperation.PutQueue>,
  { queues }: BatchContext
): SqlPlan<ReadonlyArray<Answer<TaskOperation.PutQueue>>> {
  yield* QueueRows.load(queues, queueNames(ops))
  return ops.map(({ base, queue: name, settings }) => {
    const queue = QueueRows.get(queues, name)
    if (queue.version !== base) {
      return Either.left(new VersionConflict({ queue: name, base, current: queue.version }))
    }
    const version = base + 1
    QueueRows.set(queues, { ...queue, ...settings, version })
    return Either.right({ version })
  })
}

function* enqueue(
  ops: ReadonlyArray<TaskOperation.EnqueueTasks>,
  context: BatchContext
): SqlPlan<ReadonlyArray<Answer<TaskOperation.EnqueueTasks>>> {
  yield* QueueRows.load(context.queues, queueNames(ops))
  const bounded = ops.some((op) => QueueRows.get(context.queues, op.queue).sizeMax !== null)
  if (!bounded) return yield* insertAll(ops, context)
  const answers: Array<Answer<TaskOperation.EnqueueTasks>> = []
  for (const op of ops) {
    const full = yield* whetherFull(op, context)
    answers.push(...(full === null ? yield* insertAll([op], context) : [Either.left(full)]))
  }
  return answers
}

function* whetherFull(op: TaskOperation.EnqueueTasks, { queues }: BatchContext): SqlPlan<QueueFull | null> {
  const queue = QueueRows.get(queues, op.queue)
  if (queue.sizeMax === null) return null
  const ids = Array.from(new Set(op.tasks.map((task) => task.id)))
  const added = ids.length - (yield* TaskRows.existing(op.queue, ids)).size
  const unfinished = Queue.unfinished(queue)
  return added > 0 && unfinished + added > queue.sizeMax
    ? new QueueFull({ queue: op.queue, unfinished, sizeMax: queue.sizeMax })
    : null
}

function* insertAll(
  ops: ReadonlyArray<TaskOperation.EnqueueTasks>,
  { queues }: BatchContext
): SqlPlan<ReadonlyArray<Answer<TaskOperation.EnqueueTasks>>> {
  const tasks = ops.flatMap((op) => op.tasks.map((task) => placed(op, task)))
  const added = yield* TaskRows.insert(tasks)
  // Where an id appears twice, the first operation that has it is the one that added it.
  const unclaimed = added.length === tasks.length
    ? null
    : new Set(added.map(({ id, queue }) => key(queue, id)))
  return ops.map((op) => {
    const enqueued = unclaimed === null
      ? op.tasks.length
      : op.tasks.filter((task) => unclaimed.delete(key(op.queue, task.id))).length
    QueueRows.set(queues, Queue.move(QueueRows.get(queues, op.queue), null, "ready", enqueued))
    return Either.right({ enqueued, duplicates: op.tasks.length - enqueued })
  })
}

const placed = (op: TaskOperation.EnqueueTasks, task: NewTask) => ({
  ...task,
  queue: op.queue,
  nowMillis: op.nowMillis
})

const key = (queue: string, id: string) => `${queue}\u0000${id}`

function* claim(
  ops: ReadonlyArray<TaskOperation.ClaimTasks>,
  context: BatchContext
): SqlPlan<ReadonlyArray<Answer<TaskOperation.ClaimTasks>>> {
  yield* QueueRows.load(context.queues, queueNames(ops))
  const answers = ops.map((): TaskOperation.Claimed => ({ tasks: [], nextDueMillis: null, unfinished: 0 }))
  for (const queue of new Set(queueNames(ops))) {
    const places = Array.from(ops.keys()).filter((place) => ops[place]?.queue === queue)
    const claimed = yield* claimFrom(queue, ops.filter((op) => op.queue === queue), context)
    for (const [index, answer] of claimed.entries()) answers[places[index] ?? index] = answer
  }
  return answers.map((answer) => Either.right(answer))
}

/** Serves all claims on one queue with one update, the first claim first. */
function* claimFrom(
  name: string,
  ops: ReadonlyArray<TaskOperation.ClaimTasks>,
  { node, queues }: BatchContext
): SqlPlan<ReadonlyArray<TaskOperation.Claimed>> {
  const queue = QueueRows.get(queues, name)
  const unfinished = Queue.unfinished(queue)
  const limit = ops.reduce((sum, op) => sum + op.limit, 0)
  const nowMillis = Math.max(...ops.map((op) => op.nowMillis))
  const { due, nextDueMillis } = Queue.isOpen(queue) && queue.counts.ready > 0
    ? yield* dueTasks(name, limit, nowMillis)
    : { due: [], nextDueMillis: null }
  const tasks = [...(yield* TaskRows.claim(due, node, nowMillis))].sort(claimOrder)
  QueueRows.set(queues, Queue.move(queue, "ready", "running", tasks.length))
  let at = 0
  return ops.map((op) => {
    const mine = tasks.slice(at, at += op.limit).filter(isClaimed)
    return { tasks: mine, nextDueMillis: mine.length > 0 ? null : nextDueMillis, unfinished }
  })
}

const isClaimed = (task: Task): task is ClaimedTask => task.status === "running"

/** Due tasks in claim order. Where the head of the queue is not all due, each priority is looked at by itself. */
function* dueTasks(
  queue: string,
  limit: number,
  nowMillis: number
): SqlPlan<{ readonly due: ReadonlyArray<number>; readonly nextDueMillis: number | null }> {
  const isDue = (row: TaskRows.ReadyRow) => row.not_before <= nowMillis
  const head = yield* TaskRows.readyHead(queue, limit)
  if (head.every(isDue)) return { due: head.map((row) => row.sequence), nextDueMillis: null }
  const due: Array<number> = []
  let nextDueMillis = Infinity
  let priority = head[0]?.priority
  while (priority !== undefined && due.length < limit) {
    const rows = yield* TaskRows.readyOf(queue, priority, limit - due.length)
    due.push(...rows.filter(isDue).map((row) => row.sequence))
    nextDueMillis = Math.min(nextDueMillis, ...rows.filter((row) => !isDue(row)).map((row) => row.not_before))
    priority = (yield* TaskRows.readyAfter(queue, priority))[0]?.priority
  }
  return { due, nextDueMillis: Number.isFinite(nextDueMillis) ? nextDueMillis : null }
}

function* settle(
  ops: ReadonlyArray<TaskOperation.SettleTask>,
  { queues }: BatchContext
): SqlPlan<ReadonlyArray<Answer<TaskOperation.SettleTask>>> {
  yield* QueueRows.load(queues, queueNames(ops))
  const given = new Map<string, number>()
  const changes = new Map<string, TaskRows.Change>()
  for (const op of ops) {
    // A second settlement of one claim finds it taken.
    if (changes.has(claimKey(op))) continue
    const finishSequence = given.get(op.queue) ?? QueueRows.get(queues, op.queue).finishSequence + 1
    const change = settlementChange(op, finishSequence)
    changes.set(claimKey(op), change)
    if (change.finishSequence !== null) given.set(op.queue, finishSequence + 1)
  }
  const changed = new Set((yield* TaskRows.change(Array.from(changes.values()))).map(claimKey))
  return ops.map((op) => {
    const change = changes.get(claimKey(op))
    if (change === undefined || !changed.delete(claimKey(op))) {
      return Either.left(
        new Superseded({ queue: op.queue, sequence: op.sequence, activation: op.activation })
      )
    }
    const queue = Queue.move(QueueRows.get(queues, op.queue), "running", change.status, 1)
    const finishSequence = Math.max(queue.finishSequence, change.finishSequence ?? 0)
    const deaths = change.status === "dead" ? 1 : 0
    const completions = change.status === "completed" ? 1 : 0
    QueueRows.set(queues, Queue.recordDeaths({ ...queue, finishSequence }, deaths, completions))
    return Either.right(undefined)
  })
}

const claimKey = (claim: { readonly sequence: number; readonly activation: number }) =>
  `${claim.sequence}:${claim.activation}`

const settlementChange = (op: TaskOperation.SettleTask, finishSequence: number): TaskRows.Change => {
  const { settlement } = op
  const base = { sequence: op.sequence, activation: op.activation, from: "running", ...unfinished } as const
  const finished = { finishedAtMillis: op.nowMillis, finishSequence }
  switch (settlement._tag) {
    case "Completed":
      return { ...base, ...finished, status: "completed", outcome: settlement.outcome }
    case "Dead":
      return { ...base, ...finished, status: "dead", outcome: settlement.outcome }
    case "Retry":
      return {
        ...base,
        status: "ready",
        outcome: settlement.outcome,
        notBeforeMillis: settlement.notBeforeMillis
      }
    case "Released":
      return { ...base, status: "ready", attemptsBack: 1 }
  }
}

const unfinished = {
  attemptsBack: 0,
  notBeforeMillis: null,
  outcome: null,
  finishedAtMillis: null,
  finishSequence: null
} as const

/** Makes tasks ready again; yields how many. */
export function* retry(
  op: Omit<TaskOperation.RetryTasks, "_tag" | "lane" | symbol>,
  { queues }: BatchContext
): SqlPlan<number> {
  const tasks = yield* TaskRows.givenUp(op.queue, op.id, op.limit)
  yield* QueueRows.load(queues, [op.queue])
  yield* TaskRows.change(tasks.map((task) => ({
    ...unfinished,
    sequence: task.sequence,
    activation: task.activation,
    from: task.status,
    status: "ready",
    attemptsBack: task.attempt,
    notBeforeMillis: op.nowMillis
  })))
  for (const task of tasks) {
    QueueRows.set(queues, Queue.move(QueueRows.get(queues, op.queue), task.status, "ready", 1))
  }
  return tasks.length
}

function* skip(op: TaskOperation.SkipTasks, { queues }: BatchContext): SqlPlan<number> {
  yield* QueueRows.load(queues, [op.queue])
  const queue = QueueRows.get(queues, op.queue)
  const count = yield* TaskRows.skipReady(op.queue, queue.finishSequence, op.nowMillis, op.limit)
  const moved = Queue.move(queue, "ready", "skipped", count)
  QueueRows.set(queues, { ...moved, finishSequence: queue.finishSequence + count })
  return count
}

function* purge(op: TaskOperation.PurgeTasks, { queues }: BatchContext): SqlPlan<number> {
  yield* QueueRows.load(queues, [op.queue])
  const statuses = yield* TaskRows.remove(op.queue, op.limit)
  for (const status of statuses) {
    QueueRows.set(queues, Queue.move(QueueRows.get(queues, op.queue), status, null, 1))
  }
  return statuses.length
}

/** The attempt in hand is lost with the node: it counts. */
function* release(op: TaskOperation.ReleaseClaims, { queues }: BatchContext): SqlPlan<number> {
  const tasks = yield* TaskRows.runningOn(op.node, op.limit)
  yield* QueueRows.load(queues, queueNames(tasks))
  const outcome = TaskOutcome.encode({ _tag: "Lost", node: op.node })
  const changes: Array<TaskRows.Change> = []
  for (const task of tasks) {
    const queue = QueueRows.get(queues, task.queue)
    const base = {
      ...unfinished,
      sequence: task.sequence,
      activation: task.activation,
      from: "running",
      outcome
    } as const
    if (task.attempt < task.attemptsMax) {
      changes.push({ ...base, status: "ready" })
      QueueRows.set(queues, Queue.move(queue, "running", "ready", 1))
    } else {
      const finishSequence = queue.finishSequence + 1
      changes.push({ ...base, status: "dead", finishedAtMillis: op.nowMillis, finishSequence })
      const moved = { ...Queue.move(queue, "running", "dead", 1), finishSequence }
      QueueRows.set(queues, Queue.recordDeaths(moved, 1, 0))
    }
  }
  yield* TaskRows.change(changes)
  return tasks.length
}
