/**
 * The entries of agents' collections that some operations of a batch change: which there were is read at once, and what
 * has become of them is written at once.
 */
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import type { EntryChange } from "@holdfast/agents/AgentOperation"
import type { SqlPlan, SqlValue } from "./SqlPlan.ts"
import { queryRows } from "./SqlPlan.ts"

/** What is known of entries, and what is to be written. */
export interface EntryRows {
  /** By place, those that are stored. */
  readonly stored: ReadonlySet<string>
  /** By place, the last change of each. */
  readonly changed: Map<string, Change>
}

interface Change extends AgentAddress, EntryChange {}

/** What was changed, and of whom. */
export interface Changes extends AgentAddress {
  readonly changes?: ReadonlyArray<EntryChange>
}

/** Reads which of the entries that these operations change are stored. */
export function* load(operations: ReadonlyArray<Changes>): SqlPlan<EntryRows> {
  const places = new Set(
    operations.flatMap((op) =>
      (op.changes ?? []).map((change) => placeOf({ ...change, type: op.type, id: op.id }))
    )
  )
  const rows = yield* queryRows<EntryRow>(
    Array.from(places, (place): ReadonlyArray<SqlValue> => JSON.parse(place)),
    (values) =>
      `SELECT type, id, collection, key FROM agent_entries WHERE (type, id, collection, key) IN (VALUES ${values})`
  )
  return { stored: new Set(rows.map(placeOf)), changed: new Map() }
}

/** Changes what an operation does; the last change of an entry wins. */
export const change = (rows: EntryRows, { changes = [], id, type }: Changes): void => {
  for (const { collection, key, value } of changes) {
    const changed = { type, id, collection, key, value }
    rows.changed.set(placeOf(changed), changed)
  }
}

/** Writes what changed, and counts it. */
export function* flush({ changed, stored }: EntryRows): SqlPlan<void> {
  const put: Array<ReadonlyArray<SqlValue>> = []
  const removed: Array<ReadonlyArray<SqlValue>> = []
  const counts = new Map<string, number>()
  for (const [place, { collection, id, key, type, value }] of changed) {
    const before = stored.has(place) ? 1 : 0
    const after = value === null ? 0 : 1
    if (after === 1) put.push([type, id, collection, key, value])
    else if (before === 1) removed.push([type, id, collection, key])
    const counted = JSON.stringify([type, id, collection])
    counts.set(counted, (counts.get(counted) ?? 0) + after - before)
  }
  yield* queryRows(removed, deleteText)
  yield* queryRows(put, putText)
  yield* queryRows(
    Array.from(counts).flatMap(([counted, delta]) => (delta === 0 ? [] : [[...JSON.parse(counted), delta]])),
    countText
  )
}

// internal

interface EntryRow extends AgentAddress {
  readonly collection: string
  readonly key: string
}

const placeOf = ({ collection, id, key, type }: EntryRow): string =>
  JSON.stringify([type, id, collection, key])

const deleteText = (values: string): string =>
  `DELETE FROM agent_entries WHERE (type, id, collection, key) IN (VALUES ${values})`

const putText = (values: string): string =>
  `INSERT INTO agent_entries (type, id, collection, key, value) VALUES ${values} ` +
  `ON CONFLICT (type, id, collection, key) DO UPDATE SET value = excluded.value`

const countText = (values: string): string =>
  `INSERT INTO agent_collections (type, id, collection, entries) VALUES ${values} ` +
  `ON CONFLICT (type, id, collection) DO UPDATE SET entries = entries + excluded.entries`
