/**
 * The agent store on SQL: reads agents and their messages on a connection of its own.
 */
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import type { AgentCounts, AgentEntry } from "@holdfast/agents/AgentRecord"
import type { AgentSignals } from "@holdfast/agents/AgentSignals"
import type { AgentQuery, AgentStore, EntryQuery, PendingQuery } from "@holdfast/agents/AgentStore"
import { compareKeys } from "@holdfast/core/RecordStore"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AgentTableRow } from "./AgentRows.ts"
import * as AgentRows from "./AgentRows.ts"
import type { MessageRow, ReplyRow } from "./InboxRows.ts"
import * as InboxRows from "./InboxRows.ts"
import type { SqliteReader } from "./SqliteReader.ts"
import type { SqlPlan, SqlValue } from "./SqlPlan.ts"
import { query, queryIn } from "./SqlPlan.ts"

/** Makes the store over a reader. `node` yields the id of the present membership, empty while there is none. */
export const make = (
  reader: SqliteReader,
  node: Effect.Effect<string>,
  signals: AgentSignals
): AgentStore["Type"] => ({
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
  entry: ({ id, type }, collection, key) =>
    Effect.map(
      reader.read("entry", () =>
        query<{ readonly value: string }>(
          "SELECT value FROM agent_entries WHERE type = ? AND id = ? AND collection = ? AND key = ?",
          [type, id, collection, key]
        )),
      ([row]) => Option.map(Option.fromNullable(row), ({ value }) => value)
    ),
  entries: (address, collection, query) =>
    reader.read("entries", () => selectEntries(address, collection, query)),
  entryCount: (address, collection, except) =>
    reader.read("entry count", () => countEntries(address, collection, except ?? [])),
  pending: (query) =>
    Effect.flatMap(node, (id) => reader.read("pending agents", () => selectPending(id, query))),
  counts: reader.read("agent counts", () => selectCounts()),
  subscribe: signals.subscribe
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

const selectEntries = (
  { id, type }: AgentAddress,
  collection: string,
  { after, limit }: EntryQuery
): SqlPlan<ReadonlyArray<AgentEntry>> =>
  query<AgentEntry>(
    `SELECT key, value FROM agent_entries WHERE type = ? AND id = ? AND collection = ? ` +
      `${after === undefined ? "" : "AND key > ? "}ORDER BY key LIMIT ?`,
    [type, id, collection, ...(after === undefined ? [] : [after]), limit]
  )

/** No other statement comes between these two: a plan is read in one turn, and only the agent's owner changes them. */
function* countEntries(
  { id, type }: AgentAddress,
  collection: string,
  except: ReadonlyArray<string>
): SqlPlan<number> {
  const [counted] = yield* query<{ readonly entries: number }>(
    "SELECT entries FROM agent_collections WHERE type = ? AND id = ? AND collection = ?",
    [type, id, collection]
  )
  const left = yield* queryIn<{ readonly n: number }>(
    except,
    (list) =>
      `SELECT COUNT(*) AS n FROM agent_entries WHERE type = ? AND id = ? AND collection = ? AND key IN ${list}`,
    [type, id, collection]
  )
  return left.reduce((all, { n }) => all - n, counted?.entries ?? 0)
}

function* selectPending(
  node: string,
  { after, limit, nowMillis, types }: PendingQuery
): SqlPlan<ReadonlyArray<AgentAddress>> {
  const found: Array<AgentAddress> = []
  const sorted = Array.from(new Set(types)).sort(compareKeys)
  for (const type of sorted) {
    const order = after === undefined ? 1 : compareKeys(type, after.type)
    if (order < 0 || found.length >= limit) continue
    const behind = order === 0 ? after?.id ?? null : null
    const left = limit - found.length
    const open = yield* query<PendingRow>(openText, [type, behind, behind, type, type, node, left])
    const later = yield* query<PendingRow>(laterText, [type, nowMillis, behind, behind, node, left])
    const ids = Array.from(new Set([...open, ...later].map(({ id }) => id))).sort(compareKeys).slice(0, left)
    found.push(...ids.map((id) => ({ type, id })))
  }
  return found
}

interface PendingRow {
  readonly id: string
}

/** The planner, which has no statistics, would take the index of whole inboxes. */
const openFrom = "FROM agent_messages INDEXED BY agent_messages_open " +
  "WHERE activation = 0 AND not_before = 0 AND type = ?"

/**
 * Agents with messages that are due at once. It steps from agent to agent along the index of what nobody has claimed: one
 * step for each agent that has any, however many, parked ones and those of other nodes included.
 */
const openText =
  `WITH RECURSIVE told (id) AS (SELECT MIN(id) ${openFrom} AND (? IS NULL OR id > ?) UNION ALL ` +
  `SELECT (SELECT MIN(id) ${openFrom} AND id > told.id) FROM told WHERE told.id IS NOT NULL) ` +
  `SELECT told.id FROM told LEFT JOIN agents ON agents.type = ? AND agents.id = told.id ` +
  `WHERE told.id IS NOT NULL AND (agents.status IS NULL OR agents.status = 'passive' OR agents.node = ?) LIMIT ?`

/**
 * Agents with messages that were told to be due later, and are: one step for each such message that nobody has claimed,
 * along an index of its own. Those that are not due yet cost nothing.
 */
const laterText = `SELECT DISTINCT told.id FROM agent_messages AS told INDEXED BY agent_messages_later ` +
  `LEFT JOIN agents ON agents.type = told.type AND agents.id = told.id ` +
  `WHERE told.activation = 0 AND told.not_before <> 0 AND told.type = ? AND told.not_before <= ? ` +
  `AND (? IS NULL OR told.id > ?) ` +
  `AND (agents.status IS NULL OR agents.status = 'passive' OR agents.node = ?) ORDER BY told.id LIMIT ?`

function* selectCounts(): SqlPlan<ReadonlyArray<AgentCounts>> {
  const rows = yield* query<{ readonly type: string; readonly what: string; readonly n: number }>(
    "SELECT type, status AS what, COUNT(*) AS n FROM agents GROUP BY type, status UNION ALL " +
      "SELECT type, 'messages', COUNT(*) FROM agent_messages GROUP BY type"
  )
  const types = Array.from(new Set(rows.map(({ type }) => type))).sort(compareKeys)
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
