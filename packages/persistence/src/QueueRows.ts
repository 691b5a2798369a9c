/**
 * The queue rows of one batch: read once, changed in memory by its operations, and written once.
 */
import * as Queue from "@holdfast/agents/Queue"
import type { SqlPlan, SqlValue } from "./SqlPlan.ts"
import { queryIn, queryRows } from "./SqlPlan.ts"

/** Queue rows read in this transaction, and those that have changed. */
export interface QueueRows {
  readonly before: Map<string, Queue.Queue>
  readonly now: Map<string, Queue.Queue>
}

/** No rows read yet. */
export const make = (): QueueRows => ({ before: new Map(), now: new Map() })

/** Reads the rows of these queues, where they have not been. */
export function* load(rows: QueueRows, names: Iterable<string>): SqlPlan<void> {
  const missing = Array.from(new Set(names)).filter((name) => !rows.now.has(name))
  if (missing.length === 0) return
  const found = yield* queryIn<QueueRow>(missing, (list) => `SELECT * FROM queues WHERE name IN ${list}`)
  for (const name of missing) rows.now.set(name, Queue.empty(name))
  for (const queue of found.map(fromRow)) {
    rows.before.set(queue.name, queue)
    rows.now.set(queue.name, queue)
  }
}

/** A row that was loaded. */
export const get = (rows: QueueRows, name: string): Queue.Queue => rows.now.get(name) ?? Queue.empty(name)

/** Changes a row; it is written by `flush`. */
export const set = (rows: QueueRows, queue: Queue.Queue): void => void rows.now.set(queue.name, queue)

/** Writes the rows that changed. */
export function* flush(rows: QueueRows): SqlPlan<void> {
  const changed = Array.from(rows.now.values()).filter((queue) => touched(rows.before.get(queue.name), queue))
  if (changed.length > 0) yield* queryRows(changed.map(toRow), upsert)
}

/** The queues whose waiting claimers should look again. */
export const awakened = (rows: QueueRows): ReadonlyArray<string> =>
  Array.from(rows.now.values())
    .filter((queue) => {
      const before = rows.before.get(queue.name)
      return before !== queue && Queue.wakes(before ?? Queue.empty(queue.name), queue)
    })
    .map((queue) => queue.name)

/** A queue nobody has touched is not worth a row. */
const touched = (before: Queue.Queue | undefined, after: Queue.Queue): boolean =>
  before === undefined
    ? after.version > 0 || after.finishSequence > 0 || Object.values(after.counts).some((count) => count > 0)
    : before !== after

const columns = "name, version, paused, sealed, size_max, error_threshold, label, " +
  "ready, running, completed, dead, skipped, dead_in_row, finish_sequence"

const upsert = (values: string): string =>
  `INSERT INTO queues (${columns}) VALUES ${values} ON CONFLICT (name) DO UPDATE SET ` +
  columns.split(", ").slice(1).map((column) => `${column} = excluded.${column}`).join(", ")

/** A row of `queues`. */
export interface QueueRow {
  readonly name: string
  readonly version: number
  readonly paused: number
  readonly sealed: number
  readonly size_max: number | null
  readonly error_threshold: number | null
  readonly label: string | null
  readonly ready: number
  readonly running: number
  readonly completed: number
  readonly dead: number
  readonly skipped: number
  readonly dead_in_row: number
  readonly finish_sequence: number
}

/** Reads a row of `queues`. */
export const fromRow = (row: QueueRow): Queue.Queue => ({
  name: row.name,
  version: row.version,
  paused: row.paused === 1,
  sealed: row.sealed === 1,
  sizeMax: row.size_max,
  errorThreshold: row.error_threshold,
  label: row.label,
  counts: {
    ready: row.ready,
    running: row.running,
    completed: row.completed,
    dead: row.dead,
    skipped: row.skipped
  },
  deadInRow: row.dead_in_row,
  finishSequence: row.finish_sequence
})

const toRow = (queue: Queue.Queue): ReadonlyArray<SqlValue> => [
  queue.name,
  queue.version,
  queue.paused ? 1 : 0,
  queue.sealed ? 1 : 0,
  queue.sizeMax,
  queue.errorThreshold,
  queue.label,
  queue.counts.ready,
  queue.counts.running,
  queue.counts.completed,
  queue.counts.dead,
  queue.counts.skipped,
  queue.deadInRow,
  queue.finishSequence
]
