/**
 * Executes the operations of records.
 */
import type { Write } from "@holdfast/core/RecordStore"
import { RecordConflict } from "@holdfast/core/RecordStore"
import * as Either from "effect/Either"
import type { Weight } from "./CommitBuffer.ts"
import type { Answer, OperationHandlers } from "./OperationHandler.ts"
import type { WriteRecords } from "./RecordOperation.ts"
import type { SqlPlan, SqlValue } from "./SqlPlan.ts"
import { query, queryRows } from "./SqlPlan.ts"

/** The handlers. */
export const handlers: OperationHandlers<WriteRecords> = { WriteRecords: write }

/** How much an operation weighs in a batch. */
export const weigh = ({ writes }: WriteRecords): Weight => ({
  rows: writes.length,
  bytes: writes.reduce((sum, write) => sum + rowBytes + (write._tag === "Put" ? write.value.length : 0), 0)
})

const rowBytes = 100

/**
 * Decides every unit in memory, on the revisions that were read at once, and then writes what was accepted.
 *
 * Every put is inserted, also one that a later unit of the batch replaces: the table's counter then knows its revision.
 */
function* write(ops: ReadonlyArray<WriteRecords>): SqlPlan<ReadonlyArray<Answer<WriteRecords>>> {
  const draft = yield* read(ops)
  const accepted = ops.map((op) => accept(draft, op))
  yield* queryRows(draft.puts, insertText)
  const removed = Array.from(draft.removed.values())
  yield* queryRows(removed.map(({ collection, key }) => [collection, key]), deleteText)
  const changes = yield* countChanges(draft)
  return accepted.map(Either.map((revisions) => ({ revisions, changes })))
}

/** The records of a batch on their way. */
interface Draft {
  /** By place; 0 where there is none. */
  readonly revisions: Map<string, number>
  readonly puts: Array<ReadonlyArray<SqlValue>>
  /** What is to be gone at the end, by place. */
  readonly removed: Map<string, Write>
  /** Collections that are changed. */
  readonly changed: Set<string>
  /** The last revision that was given out. */
  last: number
}

function* read(ops: ReadonlyArray<WriteRecords>): SqlPlan<Draft> {
  const draft: Draft = {
    revisions: new Map(),
    puts: [],
    removed: new Map(),
    changed: new Set(),
    last: yield* lastRevision()
  }
  for (const write of ops.flatMap((op) => op.writes)) draft.revisions.set(placeOf(write), 0)
  const places = Array.from(draft.revisions.keys(), (place): ReadonlyArray<SqlValue> => JSON.parse(place))
  for (const row of yield* queryRows<RevisionRow>(places, selectText)) {
    draft.revisions.set(placeOf(row), row.revision)
  }
  return draft
}

const placeOf = ({ collection, key }: { readonly collection: string; readonly key: string }): string =>
  JSON.stringify([collection, key])

/** The writers of a file take turns, so what is read here is still true when the batch is written. */
function* lastRevision(): SqlPlan<number> {
  const rows = yield* query<{ readonly seq: number }>(
    "SELECT seq FROM sqlite_sequence WHERE name = 'records'"
  )
  return rows[0]?.seq ?? 0
}

const accept = (draft: Draft, op: WriteRecords): Either.Either<ReadonlyArray<number>, RecordConflict> => {
  for (const write of op.writes) {
    const { collection, expected, key } = write
    const actual = draft.revisions.get(placeOf(write)) ?? 0
    if (expected !== undefined && expected !== actual) {
      return Either.left(new RecordConflict({ collection, key, expected, actual }))
    }
  }
  return Either.right(op.writes.map((write) => apply(draft, write, op.nowMillis)))
}

const apply = (draft: Draft, write: Write, nowMillis: number): number => {
  const place = placeOf(write)
  if (write._tag === "Remove") {
    if (draft.revisions.get(place) === 0) return 0
    draft.removed.set(place, write)
    draft.revisions.set(place, 0)
    draft.changed.add(write.collection)
    return 0
  }
  draft.last += 1
  draft.puts.push([draft.last, write.collection, write.key, write.value, nowMillis])
  draft.removed.delete(place)
  draft.revisions.set(place, draft.last)
  draft.changed.add(write.collection)
  return draft.last
}

function* countChanges({ changed }: Draft): SqlPlan<ReadonlyMap<string, number>> {
  const rows = yield* queryRows<ChangesRow>(Array.from(changed, (name) => [name, 1]), countText)
  return new Map(rows.map(({ changes, name }) => [name, changes]))
}

interface RevisionRow {
  readonly collection: string
  readonly key: string
  readonly revision: number
}

/** What `record_collections` says of a collection. */
export interface ChangesRow {
  readonly name: string
  readonly changes: number
}

const selectText = (values: string): string =>
  `SELECT collection, key, revision FROM records WHERE (collection, key) IN (VALUES ${values})`

const insertText = (values: string): string =>
  `INSERT OR REPLACE INTO records (revision, collection, key, value, updated_at) VALUES ${values}`

const deleteText = (values: string): string =>
  `DELETE FROM records WHERE (collection, key) IN (VALUES ${values})`

const countText = (values: string): string =>
  `INSERT INTO record_collections (name, changes) VALUES ${values} ` +
  `ON CONFLICT (name) DO UPDATE SET changes = changes + 1 RETURNING name, changes`
