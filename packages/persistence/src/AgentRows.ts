/**
 * The agent rows of one batch: read once, changed in memory by its operations, and written once. Of several states of
 * one agent only the last is written.
 */
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import type { AgentRow, AgentStatus } from "@holdfast/agents/AgentRecord"
import { laneOf } from "@holdfast/agents/AgentRecord"
import type { SqlPlan, SqlValue } from "./SqlPlan.ts"
import { query, queryRows } from "./SqlPlan.ts"

/** Agent rows read in this transaction, and what has changed; keyed by `laneOf` an address. */
export interface AgentRows {
  readonly before: Map<string, AgentRow | null>
  readonly now: Map<string, AgentRow | null>
  readonly states: Map<string, AgentState>
  /** Agents that owners should look at again. */
  readonly awakened: Array<AgentAddress>
}

/** The encoded state of an agent. */
export interface AgentState extends AgentAddress {
  readonly state: string
}

/** No rows read yet. */
export const make = (): AgentRows => ({
  before: new Map(),
  now: new Map(),
  states: new Map(),
  awakened: []
})

/** Reads the rows of these agents, where they have not been. */
export function* load(rows: AgentRows, addresses: ReadonlyArray<AgentAddress>): SqlPlan<void> {
  const missing = new Map<string, ReadonlyArray<SqlValue>>()
  for (const address of addresses) {
    const lane = laneOf(address)
    if (!rows.now.has(lane)) missing.set(lane, [address.type, address.id])
  }
  if (missing.size === 0) return
  for (const lane of missing.keys()) keep(rows, lane, null)
  const found = yield* queryRows<AgentTableRow>(
    Array.from(missing.values()),
    (values) => `SELECT * FROM agents WHERE (type, id) IN (VALUES ${values})`
  )
  for (const row of found) keep(rows, laneOf(row), fromRow(row))
}

/** Reads agents that a node owns, by address. What has changed is written before. */
export function* loadOwned(rows: AgentRows, node: string, limit: number): SqlPlan<ReadonlyArray<AgentRow>> {
  yield* flush(rows)
  const found = (yield* query<AgentTableRow>(
    "SELECT * FROM agents WHERE node = ? ORDER BY type, id LIMIT ?",
    [node, limit]
  )).map(fromRow)
  for (const row of found) keep(rows, laneOf(row), row)
  return found
}

/** A row that was loaded; `null` where there is none. */
export const get = (rows: AgentRows, address: AgentAddress): AgentRow | null =>
  rows.now.get(laneOf(address)) ?? null

/** Changes a row; it is written by `flush`. */
export const set = (rows: AgentRows, row: AgentRow): void => void rows.now.set(laneOf(row), row)

/** Changes a state; it is written by `flush`. */
export const setState = (rows: AgentRows, state: AgentState): void =>
  void rows.states.set(laneOf(state), state)

/** The states of these agents, as this batch has left them, by lane. */
export function* states(
  rows: AgentRows,
  addresses: ReadonlyArray<AgentAddress>
): SqlPlan<ReadonlyMap<string, string>> {
  const stored = yield* queryRows<AgentState>(
    addresses.map(({ id, type }) => [type, id]),
    (values) => `SELECT type, id, state FROM agent_states WHERE (type, id) IN (VALUES ${values})`
  )
  return new Map([...stored, ...rows.states.values()].map((row) => [laneOf(row), row.state]))
}

/** Writes the rows and states that changed. The writers of a file take turns: what was read is still true. */
export function* flush(rows: AgentRows): SqlPlan<void> {
  const changed: Array<ReadonlyArray<SqlValue>> = []
  const advanced: Array<ReadonlyArray<SqlValue>> = []
  for (const [lane, row] of rows.now) {
    const before = rows.before.get(lane) ?? null
    if (row === null || row === before) continue
    if (before !== null && isAdvance(before, row)) {
      advanced.push([row.type, row.id, row.version, row.stateVersion, row.updatedAtMillis])
    } else changed.push(toRow(row))
    rows.before.set(lane, row)
  }
  yield* queryRows(changed, upsertText)
  yield* queryRows(advanced, advanceText)
  yield* queryRows(Array.from(rows.states.values(), ({ id, state, type }) => [type, id, state]), stateText)
  rows.states.clear()
}

// internal

const keep = (rows: AgentRows, lane: string, row: AgentRow | null): void => {
  rows.before.set(lane, row)
  rows.now.set(lane, row)
}

/** Whether only commits were counted, which no index knows of. */
const isAdvance = (before: AgentRow, after: AgentRow): boolean =>
  before.status === after.status && before.node === after.node && before.activation === after.activation &&
  before.cause === after.cause

const columns = "type, id, status, version, state_version, node, activation, cause, created_at, updated_at"

const upsertText = (values: string): string =>
  `INSERT INTO agents (${columns}) VALUES ${values} ON CONFLICT (type, id) DO UPDATE SET ` +
  columns.split(", ").slice(2).map((column) => `${column} = excluded.${column}`).join(", ")

const advanceText = (values: string): string =>
  `WITH change (type, id, version, state_version, at) AS (VALUES ${values}) UPDATE agents SET ` +
  `version = change.version, state_version = change.state_version, updated_at = change.at FROM change ` +
  `WHERE agents.type = change.type AND agents.id = change.id`

const stateText = (values: string): string =>
  `INSERT INTO agent_states (type, id, state) VALUES ${values} ` +
  `ON CONFLICT (type, id) DO UPDATE SET state = excluded.state`

/** A row of `agents`. */
export interface AgentTableRow {
  readonly type: string
  readonly id: string
  readonly status: AgentStatus
  readonly version: number
  readonly state_version: number | null
  readonly node: string | null
  readonly activation: number
  readonly cause: string | null
  readonly created_at: number
  readonly updated_at: number
}

/** Reads a row of `agents`. */
export const fromRow = (row: AgentTableRow): AgentRow => ({
  type: row.type,
  id: row.id,
  status: row.status,
  version: row.version,
  stateVersion: row.state_version,
  node: row.node,
  activation: row.activation,
  cause: row.cause,
  createdAtMillis: row.created_at,
  updatedAtMillis: row.updated_at
})

const toRow = (row: AgentRow): ReadonlyArray<SqlValue> => [
  row.type,
  row.id,
  row.status,
  row.version,
  row.stateVersion,
  row.node,
  row.activation,
  row.cause,
  row.createdAtMillis,
  row.updatedAtMillis
]
