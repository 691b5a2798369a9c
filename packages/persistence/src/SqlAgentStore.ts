/**
 * The agent store on SQL: reads agents and their messages on a connection of its own.
 */
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import type { AgentCounts } from "@holdfast/agents/AgentRecord"
import { compareAddresses, laneOf } from "@holdfast/agents/AgentRecord"
import type { AgentQuery, AgentStore, PendingQuery } from "@holdfast/agents/AgentStore"
import type { QueueSignals } from "@holdfast/agents/QueueSignals"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AgentTableRow } from "./AgentRows.ts"
import * as AgentRows from "./AgentRows.ts"
import type { MessageRow, ReplyRow } from "./InboxRows.ts"
import * as InboxRows from "./InboxRows.ts"
import type { SqliteReader } from "./SqliteReader.ts"
import type { SqlPlan, SqlValue } from "./SqlPlan.ts"
import { query } from "./SqlPlan.ts"

/** Makes the store over a reader. */
export const make = (reader: SqliteReader, signals: QueueSignals): AgentStore["Type"] => ({
  get: ({ id, type }) =>
    Effect.map(
      reader.read("agent", () =>
        query<AgentTableRow & { readonly state: string | null }>(
          "SELECT agents.*, agent_states.state FROM agents LEFT JOIN agent_states USING (type, id) " +
            "WHERE agents.type = ? AND agents.id = ?",
          [type, id]
        )),
      ([row]) =>
        Option.map(Option.fromNullable(row), (row) => ({ ...AgentRows.fromRow(row), state: row.state }))
    ),
  list: (filter) =>
    Effect.map(reader.read("agents", () => selectAgents(filter)), (rows) => rows.map(AgentRows.fromRow)),
  inbox: ({ id, type }, after, limit) =>
    Effect.map(
      reader.read("inbox", () =>
        query<MessageRow>(
          "SELECT * FROM agent_messages WHERE type = ? AND id = ? AND sequence > ? ORDER BY sequence LIMIT ?",
          [type, id, after, limit]
        )),
      (rows) => rows.map(InboxRows.toMessage)
    ),
  reply: ({ id, type }, key) =>
    Effect.map(
      reader.read("reply", () =>
        query<ReplyRow>("SELECT * FROM agent_replies WHERE type = ? AND id = ? AND key = ?", [
          type,
          id,
          key
        ])),
      ([row]) =>
        Option.map(Option.fromNullable(row), InboxRows.toReply)
    ),
  pending: (query) => reader.read("pending agents", () => selectPending(query)),
  counts: reader.read("agent counts", () => selectCounts()),
  changed: (address) => signals.await(laneOf(address))
})

// internal

const selectAgents = ({ after, limit, status, type }: AgentQuery): SqlPlan<ReadonlyArray<AgentTableRow>> => {
  const conditions: ReadonlyArray<readonly [string, ReadonlyArray<SqlValue> | undefined]> = [
    ["type = ?", type === undefined ? undefined : [type]],
    ["status = ?", status === undefined ? undefined : [status]],
    ["(type, id) > (?, ?)", after === undefined ? undefined : [after.type, after.id]]
  ]
  const given = conditions.flatMap(([text, values]) => (values === undefined ? [] : [{ text, values }]))
  const where = given.length === 0 ? "" : `WHERE ${given.map(({ text }) => text).join(" AND ")}`
  return query<AgentTableRow>(
    `SELECT * FROM agents ${where} ORDER BY type, id LIMIT ?`,
    [...given.flatMap(({ values }) => values), limit]
  )
}

function* selectPending(
  { after, limit, nowMillis, types }: PendingQuery
): SqlPlan<ReadonlyArray<AgentAddress>> {
  const found: Array<AgentAddress> = []
  const sorted = Array.from(new Set(types)).sort(compareTypes)
  for (const type of sorted) {
    const order = after === undefined ? 1 : compareTypes(type, after.type)
    if (order < 0 || found.length >= limit) continue
    const behind = order === 0 ? after?.id ?? null : null
    const rows = yield* query<{ readonly id: string }>(pendingText, [
      type,
      behind,
      behind,
      type,
      type,
      type,
      nowMillis,
      limit - found.length
    ])
    found.push(...rows.map(({ id }) => ({ type, id })))
  }
  return found
}

const compareTypes = (a: string, b: string): number =>
  compareAddresses({ type: a, id: "" }, { type: b, id: "" })

/** Steps from agent to agent along the index, however many messages each has. */
const pendingText = `WITH RECURSIVE told (id) AS (` +
  `SELECT MIN(id) FROM agent_messages WHERE type = ? AND (? IS NULL OR id > ?) UNION ALL ` +
  `SELECT (SELECT MIN(id) FROM agent_messages WHERE type = ? AND id > told.id) FROM told WHERE told.id IS NOT NULL) ` +
  `SELECT id FROM told WHERE id IS NOT NULL ` +
  `AND NOT EXISTS (SELECT 1 FROM agents WHERE type = ? AND id = told.id AND status <> 'passive') ` +
  `AND EXISTS (SELECT 1 FROM agent_messages WHERE type = ? AND id = told.id AND not_before <= ?) LIMIT ?`

function* selectCounts(): SqlPlan<ReadonlyArray<AgentCounts>> {
  const rows = yield* query<{ readonly type: string; readonly what: string; readonly n: number }>(
    "SELECT type, status AS what, COUNT(*) AS n FROM agents GROUP BY type, status UNION ALL " +
      "SELECT type, 'messages', COUNT(*) FROM agent_messages GROUP BY type"
  )
  const types = Array.from(new Set(rows.map(({ type }) => type))).sort(compareTypes)
  return types.map((type) => {
    const count = (what: string) => rows.find((row) => row.type === type && row.what === what)?.n ?? 0
    return {
      type,
      passive: count("passive"),
      live: count("live"),
      parked: count("parked"),
      messages: count("messages")
    }
  })
}
