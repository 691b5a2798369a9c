/**
 * A node is one running process as the store knows it: a row with a random id and boot epoch, a batch number and a lease.
 */
import type { SqlPlan } from "./SqlPlan.ts"
import { query } from "./SqlPlan.ts"

/** What a node knows of itself. */
export interface NodeIdentity {
  /** Random per boot. */
  readonly id: string
  /** Random per boot; with the id it names one membership. */
  readonly epoch: string
  readonly hostname: string
  readonly pid: number
  /** When the process started, as its operating system says it; tells it from a later process of the same pid. */
  readonly processStart: string | null
  readonly leaseMillis: number
  readonly startedAtMillis: number
}

/** A row of `nodes`. */
export interface NodeRow {
  readonly id: string
  readonly epoch: string
  readonly status: "alive" | "dead"
  readonly batch: number
  readonly heartbeat: number
  readonly heartbeat_at: number
  readonly lease_millis: number
  readonly started_at: number
  readonly schema_version: number
  readonly hostname: string
  readonly pid: number
  readonly process_start: string | null
}

/** Adds the node's row. */
export function* join(node: NodeIdentity, schemaVersion: number): SqlPlan<void> {
  yield* query(
    `INSERT INTO nodes (id, epoch, status, batch, heartbeat, heartbeat_at, lease_millis, started_at, ` +
      `schema_version, hostname, pid, process_start) VALUES (?, ?, 'alive', 0, 0, ?, ?, ?, ?, ?, ?, ?)`,
    [
      node.id,
      node.epoch,
      node.startedAtMillis,
      node.leaseMillis,
      node.startedAtMillis,
      schemaVersion,
      node.hostname,
      node.pid,
      node.processStart
    ]
  )
}

/**
 * Fences, renews the lease and numbers the batch, in one conditional update: `false` when this membership has ended, or
 * the store demands newer code.
 */
export function* fence(
  node: NodeIdentity,
  batch: number,
  nowMillis: number,
  schemaVersion: number
): SqlPlan<boolean> {
  const rows = yield* query(
    `UPDATE nodes SET batch = ?, heartbeat = heartbeat + 1, heartbeat_at = ? WHERE id = ? AND epoch = ? ` +
      `AND status = 'alive' AND batch = ? AND ? >= (SELECT schema_minimum FROM store) RETURNING id`,
    [batch, nowMillis, node.id, node.epoch, batch - 1, schemaVersion]
  )
  return rows.length === 1
}

/** The number of the last batch the membership committed, and whether it still stands; `null` when its row is gone. */
export function* lastBatch(
  node: NodeIdentity
): SqlPlan<{ readonly batch: number; readonly alive: boolean } | null> {
  const rows = yield* query<NodeRow>("SELECT * FROM nodes WHERE id = ? AND epoch = ?", [node.id, node.epoch])
  return rows[0] === undefined ? null : { batch: rows[0].batch, alive: rows[0].status === "alive" }
}

/** Every node that is alive or still has something to be taken over. */
export function* all(): SqlPlan<ReadonlyArray<NodeRow>> {
  return yield* query<NodeRow>("SELECT * FROM nodes ORDER BY started_at, id")
}

/** Declares a membership dead, which fences it; `false` when it was already, or is another. */
export function* markDead(id: string, epoch: string): SqlPlan<boolean> {
  const rows = yield* query(
    `UPDATE nodes SET status = 'dead' WHERE id = ? AND epoch = ? AND status = 'alive' RETURNING id`,
    [id, epoch]
  )
  return rows.length === 1
}

/** Removes a dead node that holds nothing any more. */
export function* removeDead(id: string): SqlPlan<boolean> {
  const rows = yield* query(
    `DELETE FROM nodes WHERE id = ? AND status = 'dead' AND NOT EXISTS ` +
      `(SELECT 1 FROM tasks WHERE node = ? AND status = 'running') AND NOT EXISTS (SELECT 1 FROM agents WHERE node = ?) RETURNING id`,
    [id, id, id]
  )
  return rows.length === 1
}
