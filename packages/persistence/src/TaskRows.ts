/**
 * The rows of `tasks`: how they are read, added and changed.
 */
import type { NewTask, Task, TaskStatus } from "@holdfast/agents/Task"
import type { SqlPlan, SqlValue } from "./SqlPlan.ts"
import { query, queryIn, queryRows } from "./SqlPlan.ts"

/** Adds ready tasks, leaving out those whose id their queue has; yields which were added. */
export function* insert(
  tasks: ReadonlyArray<NewTask & { readonly queue: string; readonly nowMillis: number }>
): SqlPlan<ReadonlyArray<{ readonly queue: string; readonly id: string }>> {
  return yield* queryRows(tasks.map(toNewRow), insertText)
}

/** Which of these ids the queue has. */
export function* existing(queue: string, ids: ReadonlyArray<string>): SqlPlan<ReadonlySet<string>> {
  const rows = yield* queryIn<{ readonly id: string }>(
    ids,
    (list) => `SELECT id FROM tasks WHERE queue = ? AND id IN ${list}`,
    [queue]
  )
  return new Set(rows.map((row) => row.id))
}

/** What a claim needs to know of a ready task. */
export interface ReadyRow {
  readonly sequence: number
  readonly priority: number
  readonly not_before: number
}

const readyColumns = "SELECT sequence, priority, not_before FROM tasks WHERE queue = ? AND status = 'ready'"

/** The first ready tasks in claim order, due or not. */
export function* readyHead(queue: string, limit: number): SqlPlan<ReadonlyArray<ReadyRow>> {
  return yield* query(`${readyColumns} ORDER BY priority, not_before, sequence LIMIT ?`, [queue, limit])
}

/** The first ready tasks of one priority. */
export function* readyOf(queue: string, priority: number, limit: number): SqlPlan<ReadonlyArray<ReadyRow>> {
  return yield* query(`${readyColumns} AND priority = ? ORDER BY not_before, sequence LIMIT ?`, [
    queue,
    priority,
    limit
  ])
}

/** The first ready task of the next higher number of priority. */
export function* readyAfter(queue: string, priority: number): SqlPlan<ReadonlyArray<ReadyRow>> {
  return yield* query(`${readyColumns} AND priority > ? ORDER BY priority, not_before, sequence LIMIT 1`, [
    queue,
    priority
  ])
}

/** Gives ready tasks to a node and raises their attempt and activation. */
export function* claim(
  sequences: ReadonlyArray<number>,
  node: string,
  nowMillis: number
): SqlPlan<ReadonlyArray<Task>> {
  const rows = yield* queryIn<TaskRow>(
    sequences,
    (list) =>
      `UPDATE tasks SET status = 'running', node = ?, started_at = ?, attempt = attempt + 1, ` +
      `activation = activation + 1 WHERE sequence IN ${list} AND status = 'ready' RETURNING *`,
    [node, nowMillis]
  )
  return rows.map(fromRow)
}

/** One row's change; `null` keeps what is there. */
export interface Change {
  readonly sequence: number
  /** The change is made only where the row's activation is this. */
  readonly activation: number
  readonly from: TaskStatus
  readonly status: TaskStatus
  /** How many attempts are taken back. */
  readonly attemptsBack: number
  readonly notBeforeMillis: number | null
  readonly outcome: string | null
  readonly finishedAtMillis: number | null
  readonly finishSequence: number | null
}

/** Changes rows that are still as they were when the change was decided; yields those. */
export function* change(
  changes: ReadonlyArray<Change>
): SqlPlan<ReadonlyArray<{ readonly sequence: number; readonly activation: number }>> {
  return yield* queryRows(
    changes.map((c) => [
      c.sequence,
      c.activation,
      c.from,
      c.status,
      c.attemptsBack,
      c.notBeforeMillis,
      c.outcome,
      c.finishedAtMillis,
      c.finishSequence
    ]),
    changeText
  )
}

/** Tasks of a node that are running, in enqueue order. */
export function* runningOn(node: string, limit: number): SqlPlan<ReadonlyArray<Task>> {
  return (yield* query<TaskRow>(
    `SELECT * FROM tasks WHERE node = ? AND status = 'running' ORDER BY sequence LIMIT ?`,
    [node, limit]
  )).map(fromRow)
}

/** Dead and skipped tasks of a queue in the order they finished: all, or the one of an id. */
export function* givenUp(queue: string, id: string | null, limit: number): SqlPlan<ReadonlyArray<Task>> {
  const rows = id === null
    ? yield* query<TaskRow>(
      `SELECT * FROM tasks WHERE queue = ? AND finish_sequence IS NOT NULL AND status IN ('dead', 'skipped') ` +
        `ORDER BY finish_sequence LIMIT ?`,
      [queue, limit]
    )
    : yield* query<TaskRow>(
      `SELECT * FROM tasks WHERE queue = ? AND id = ? AND status IN ('dead', 'skipped')`,
      [queue, id]
    )
  return rows.map(fromRow)
}

/** Skips ready tasks in enqueue order, numbering them behind `finishSequence`; yields how many. */
export function* skipReady(
  queue: string,
  finishSequence: number,
  nowMillis: number,
  limit: number
): SqlPlan<number> {
  const rows = yield* query(
    `UPDATE tasks SET status = 'skipped', finished_at = ?, finish_sequence = ? + head.place FROM ` +
      `(SELECT sequence, ROW_NUMBER() OVER (ORDER BY sequence) AS place FROM tasks WHERE queue = ? ` +
      `AND status = 'ready' ORDER BY sequence LIMIT ?) AS head ` +
      `WHERE tasks.sequence = head.sequence RETURNING tasks.sequence`,
    [nowMillis, finishSequence, queue, limit]
  )
  return rows.length
}

/** Deletes tasks of a queue that are not running; yields the status each had. */
export function* remove(queue: string, limit: number): SqlPlan<ReadonlyArray<TaskStatus>> {
  const rows = yield* query<{ readonly status: TaskStatus }>(
    `DELETE FROM tasks WHERE sequence IN (SELECT sequence FROM tasks WHERE queue = ? AND status <> 'running' ` +
      `LIMIT ?) RETURNING status`,
    [queue, limit]
  )
  return rows.map((row) => row.status)
}

const insertText = (values: string): string =>
  `INSERT INTO tasks (queue, id, status, priority, not_before, attempt, attempts_max, activation, enqueued_at, ` +
  `payload) VALUES ${values} ON CONFLICT (queue, id) DO NOTHING RETURNING queue, id`

const toNewRow = (
  task: NewTask & { readonly queue: string; readonly nowMillis: number }
): ReadonlyArray<SqlValue> => [
  task.queue,
  task.id,
  "ready",
  task.priority,
  task.notBeforeMillis,
  0,
  task.attemptsMax,
  0,
  task.nowMillis,
  task.payload
]

const changeText = (values: string): string =>
  `WITH change (sequence, activation, was, status, back, not_before, outcome, finished_at, finish_sequence) ` +
  `AS (VALUES ${values}) UPDATE tasks SET status = change.status, node = NULL, ` +
  `attempt = attempt - change.back, not_before = COALESCE(change.not_before, tasks.not_before), ` +
  `outcome = COALESCE(change.outcome, tasks.outcome), finished_at = change.finished_at, ` +
  `finish_sequence = change.finish_sequence FROM change WHERE tasks.sequence = change.sequence ` +
  `AND tasks.activation = change.activation AND tasks.status = change.was RETURNING tasks.sequence, tasks.activation`

/** A row of `tasks`. */
export interface TaskRow {
  readonly sequence: number
  readonly queue: string
  readonly id: string
  readonly status: TaskStatus
  readonly priority: number
  readonly not_before: number
  readonly attempt: number
  readonly attempts_max: number
  readonly activation: number
  readonly node: string | null
  readonly enqueued_at: number
  readonly started_at: number | null
  readonly finished_at: number | null
  readonly finish_sequence: number | null
  readonly payload: string
  readonly outcome: string | null
}

/** Reads a row of `tasks`. */
export const fromRow = (row: TaskRow): Task => ({
  sequence: row.sequence,
  queue: row.queue,
  id: row.id,
  status: row.status,
  priority: row.priority,
  notBeforeMillis: row.not_before,
  attempt: row.attempt,
  attemptsMax: row.attempts_max,
  activation: row.activation,
  node: row.node,
  enqueuedAtMillis: row.enqueued_at,
  startedAtMillis: row.started_at,
  finishedAtMillis: row.finished_at,
  finishSequence: row.finish_sequence,
  payload: row.payload,
  outcome: row.outcome
})
