/**
 * An agent inspection counts what storage holds of agents, for those who look at a system from outside.
 */
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import type { AgentStatus } from "@holdfast/agents/AgentRecord"
import type { SqlPlan } from "./SqlPlan.ts"
import { query } from "./SqlPlan.ts"

/** The messages that wait for one agent, or are being handled. Times are milliseconds since 1970. */
export interface InboxCounts {
  readonly messages: number
  /** How many of them are not due yet. */
  readonly delayed: number
  /** When the oldest was told; `null` where there is none. */
  readonly oldestAtMillis: number | null
}

/** How many agents of a type and status a node owns; those that nobody owns have no node. */
export interface Placement {
  readonly node: string | null
  readonly type: string
  readonly status: AgentStatus
  readonly agents: number
}

/** Counts an inbox. */
export function* inbox({ id, type }: AgentAddress, nowMillis: number): SqlPlan<InboxCounts> {
  const [row] = yield* query<
    { readonly messages: number; readonly delayed: number; readonly oldest: number | null }
  >(
    "SELECT COUNT(*) AS messages, COALESCE(SUM(not_before > ?), 0) AS delayed, MIN(enqueued_at) AS oldest " +
      "FROM agent_messages WHERE type = ? AND id = ?",
    [nowMillis, type, id]
  )
  return {
    messages: row?.messages ?? 0,
    delayed: row?.delayed ?? 0,
    oldestAtMillis: row?.oldest ?? null
  }
}

/** How many entries each durable collection of an agent has, by name. */
export function* collections(
  { id, type }: AgentAddress
): SqlPlan<ReadonlyArray<{ readonly collection: string; readonly entries: number }>> {
  return yield* query(
    "SELECT collection, entries FROM agent_collections WHERE type = ? AND id = ? ORDER BY collection",
    [type, id]
  )
}

/** Where all agents are, by node, type and status. */
export function* placements(): SqlPlan<ReadonlyArray<Placement>> {
  return yield* query<Placement>(
    "SELECT node, type, status, COUNT(*) AS agents FROM agents GROUP BY node, type, status ORDER BY node, type, status"
  )
}

/** Agents of one placement, by id. */
export function* placed(
  { node, status, type }: Omit<Placement, "agents">,
  limit: number
): SqlPlan<ReadonlyArray<PlacedAgent>> {
  return yield* query<PlacedAgent>(
    "SELECT id, version, activation, cause FROM agents WHERE type = ? AND status = ? AND node IS ? ORDER BY id LIMIT ?",
    [type, status, node, limit]
  )
}

/** What is shown of an agent beside others. */
export interface PlacedAgent {
  readonly id: string
  readonly version: number
  readonly activation: number
  readonly cause: string | null
}
