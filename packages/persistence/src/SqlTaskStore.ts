/**
 * The task store on SQL: reads queues and tasks on a connection of its own.
 */
import type { QueueSignals } from "@holdfast/agents/QueueSignals"
import type { TaskQuery, TaskStore } from "@holdfast/agents/TaskStore"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { QueueRow } from "./QueueRows.ts"
import * as QueueRows from "./QueueRows.ts"
import type { SqliteReader } from "./SqliteReader.ts"
import type { SqlPlan, SqlValue } from "./SqlPlan.ts"
import { query } from "./SqlPlan.ts"
import type { TaskRow } from "./TaskRows.ts"
import * as TaskRows from "./TaskRows.ts"

/** Makes the store over a reader. */
export const make = (reader: SqliteReader, signals: QueueSignals): TaskStore["Type"] => ({
  queue: (name) =>
    Effect.map(
      reader.read("queue", () => query<QueueRow>("SELECT * FROM queues WHERE name = ?", [name])),
      (rows) => Option.map(Option.fromNullable(rows[0]), QueueRows.fromRow)
    ),
  queues: Effect.map(
    reader.read("queues", () => query<QueueRow>("SELECT * FROM queues ORDER BY name")),
    (rows) => rows.map(QueueRows.fromRow)
  ),
  task: (queue, id) =>
    Effect.map(
      reader.read(
        "task",
        () => query<TaskRow>("SELECT * FROM tasks WHERE queue = ? AND id = ?", [queue, id])
      ),
      (rows) => Option.map(Option.fromNullable(rows[0]), TaskRows.fromRow)
    ),
  tasks: (filter) =>
    Effect.map(reader.read("tasks", () => selectTasks(filter)), (rows) => rows.map(TaskRows.fromRow)),
  finished: (queue, after, limit) =>
    Effect.map(
      reader.read("finished", () =>
        query<TaskRow>(
          `SELECT * FROM tasks WHERE queue = ? AND finish_sequence IS NOT NULL AND finish_sequence > ? ` +
            `ORDER BY finish_sequence LIMIT ?`,
          [queue, after, limit]
        )),
      (rows) => rows.map(TaskRows.fromRow)
    ),
  changed: signals.await
})

const selectTasks = (filter: TaskQuery): SqlPlan<ReadonlyArray<TaskRow>> => {
  const conditions: ReadonlyArray<readonly [string, SqlValue | undefined]> = [
    ["queue = ?", filter.queue],
    ["status = ?", filter.status],
    ["enqueued_at >= ?", filter.sinceMillis],
    ["sequence > ?", filter.after]
  ]
  const given = conditions.flatMap(([text, value]) => (value === undefined ? [] : [{ text, value }]))
  const where = given.length === 0 ? "" : `WHERE ${given.map(({ text }) => text).join(" AND ")}`
  return query<TaskRow>(
    `SELECT * FROM tasks ${where} ORDER BY sequence LIMIT ?`,
    [...given.map(({ value }) => value), filter.limit]
  )
}
