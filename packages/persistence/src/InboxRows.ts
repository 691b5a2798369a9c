/**
 * The messages and replies that some operations of a batch concern: read at once, changed in memory in their order, and
 * written at once.
 */
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import type { AgentReply, InboxMessage, NewMessage } from "@holdfast/agents/AgentRecord"
import { laneOf } from "@holdfast/agents/AgentRecord"
import type { SqlPlan, SqlValue } from "./SqlPlan.ts"
import { queryIn, queryRows } from "./SqlPlan.ts"

/** What is known of messages and replies, and what is to be written. */
export interface InboxRows {
  /** What was answered, by agent and key. */
  readonly replies: Map<string, AgentReply>
  /** The waiting message of an agent and key. */
  readonly keyed: Map<string, Waiting>
  /** Waiting messages that were asked for, by sequence. */
  readonly messages: Map<number, Waiting>
  readonly replied: Array<AgentReply>
  readonly added: Set<Waiting>
  readonly removed: Set<number>
}

interface Waiting extends AgentAddress {
  /** `null` while it is not written. */
  readonly sequence: number | null
  readonly key: string | null
  readonly row: ReadonlyArray<SqlValue>
}

/** An agent and a key. */
export interface KeyedAddress extends AgentAddress {
  readonly key: string
}

/** Reads what is stored under these keys and sequences. */
export function* load(
  keys: ReadonlyArray<KeyedAddress>,
  sequences: ReadonlyArray<number>
): SqlPlan<InboxRows> {
  const rows: InboxRows = {
    replies: new Map(),
    keyed: new Map(),
    messages: new Map(),
    replied: [],
    added: new Set(),
    removed: new Set()
  }
  const places = keys.map(({ id, key, type }) => [type, id, key])
  const byKey = yield* queryRows<MessageRow>(
    places,
    (values) => `${selectText} (type, id, key) IN (VALUES ${values})`
  )
  const bySequence = yield* queryIn<MessageRow>(sequences, (list) => `${selectText} sequence IN ${list}`)
  for (const { id, key, sequence, type } of [...byKey, ...bySequence]) {
    keep(rows, { sequence, type, id, key, row: [] })
  }
  for (const row of yield* queryRows<ReplyRow>(places, replyText)) {
    rows.replies.set(placeOf(row, row.key), toReply(row))
  }
  return rows
}

/** What the agent answered to a message of this key. */
export const replyTo = (rows: InboxRows, address: AgentAddress, key: string): AgentReply | undefined =>
  rows.replies.get(placeOf(address, key))

/** Whether a message waits in the agent's inbox. */
export const isWaiting = (rows: InboxRows, address: AgentAddress, sequence: number): boolean => {
  const found = rows.messages.get(sequence)
  return found !== undefined && found.type === address.type && found.id === address.id
}

/** Takes a message out of its inbox; whether it was there. */
export const remove = (rows: InboxRows, sequence: number): boolean => {
  const message = rows.messages.get(sequence)
  if (message !== undefined) drop(rows, message)
  return message !== undefined
}

/** Remembers a reply; a message that waits under its key was answered with it. */
export const answer = (rows: InboxRows, reply: AgentReply): void => {
  const place = placeOf(reply, reply.key)
  const waiting = rows.keyed.get(place)
  if (waiting !== undefined) drop(rows, waiting)
  rows.replies.set(place, reply)
  rows.replied.push(reply)
}

/** Adds a message, unless its key is known; whether it did. */
export const tell = (
  rows: InboxRows,
  message: NewMessage,
  sender: string | null,
  nowMillis: number
): boolean => {
  const { id, type } = message.to
  const key = message.key ?? null
  if (key !== null) {
    const place = placeOf(message.to, key)
    if (rows.keyed.has(place) || rows.replies.has(place)) return false
  }
  const notBefore = message.notBeforeMillis ?? 0
  const row = [type, id, message.message, message.payload, key, 0, 0, notBefore, nowMillis, sender]
  const waiting = { sequence: null, type, id, key, row }
  keep(rows, waiting)
  rows.added.add(waiting)
  return true
}

/** Writes what changed, messages in the order in which they were told. */
export function* flush(rows: InboxRows): SqlPlan<void> {
  yield* queryIn(Array.from(rows.removed), (list) => `DELETE FROM agent_messages WHERE sequence IN ${list}`)
  yield* queryRows(
    rows.replied.map((
      reply
    ) => [reply.type, reply.id, reply.key, reply.message, reply.outcome, reply.atMillis]),
    (values) => `INSERT INTO agent_replies (type, id, key, message, outcome, at) VALUES ${values}`
  )
  yield* queryRows(Array.from(rows.added, ({ row }) => row), insertText)
}

/** Lets messages be claimed again that an activation of these agents had claimed, which is over. */
export function* unclaim(addresses: ReadonlyArray<AgentAddress>): SqlPlan<void> {
  yield* queryRows(
    addresses.map(({ id, type }) => [type, id]),
    (values) =>
      `UPDATE agent_messages SET activation = 0 WHERE activation <> 0 AND (type, id) IN (VALUES ${values})`
  )
}

/** What the inbox of an agent holds. */
export interface InboxSummary extends AgentAddress {
  readonly count: number
  /** When the first message is due. */
  readonly due: number
  /** The activation that has claimed any of them; 0 when none has. */
  readonly claimed: number
}

/** What these inboxes hold, by lane; nothing of those that are empty. */
export function* summaries(
  addresses: ReadonlyArray<AgentAddress>
): SqlPlan<ReadonlyMap<string, InboxSummary>> {
  const rows = yield* queryRows<InboxSummary>(
    addresses.map(({ id, type }) => [type, id]),
    (values) =>
      `SELECT type, id, COUNT(*) AS count, MIN(not_before) AS due, MAX(activation) AS claimed ` +
      `FROM agent_messages WHERE (type, id) IN (VALUES ${values}) GROUP BY type, id`
  )
  return new Map(rows.map((row) => [laneOf(row), row]))
}

// internal

const placeOf = (address: AgentAddress, key: string): string => {
  const lane = laneOf(address)
  return `${lane.length}:${lane}${key}`
}

const keep = (rows: InboxRows, message: Waiting): void => {
  if (message.key !== null) rows.keyed.set(placeOf(message, message.key), message)
  if (message.sequence !== null) rows.messages.set(message.sequence, message)
}

const drop = (rows: InboxRows, message: Waiting): void => {
  if (message.key !== null) rows.keyed.delete(placeOf(message, message.key))
  rows.added.delete(message)
  if (message.sequence === null) return
  rows.messages.delete(message.sequence)
  rows.removed.add(message.sequence)
}

const selectText = "SELECT sequence, type, id, key FROM agent_messages WHERE"

const replyText = (values: string): string =>
  `SELECT * FROM agent_replies WHERE (type, id, key) IN (VALUES ${values})`

const insertText = (values: string): string =>
  `INSERT INTO agent_messages (type, id, message, payload, key, attempt, activation, not_before, enqueued_at, sender) ` +
  `VALUES ${values}`

/** A row of `agent_messages`. */
export interface MessageRow {
  readonly sequence: number
  readonly type: string
  readonly id: string
  readonly message: string
  readonly payload: string
  readonly key: string | null
  readonly attempt: number
  readonly activation: number
  readonly not_before: number
  readonly enqueued_at: number
  readonly sender: string | null
}

/** Reads a row of `agent_messages`. */
export const toMessage = (row: MessageRow): InboxMessage => ({
  sequence: row.sequence,
  type: row.type,
  id: row.id,
  message: row.message,
  payload: row.payload,
  key: row.key,
  attempt: row.attempt,
  activation: row.activation,
  notBeforeMillis: row.not_before,
  enqueuedAtMillis: row.enqueued_at,
  sender: row.sender
})

/** A row of `agent_replies`. */
export interface ReplyRow {
  readonly type: string
  readonly id: string
  readonly key: string
  readonly message: string
  readonly outcome: string
  readonly at: number
}

/** Reads a row of `agent_replies`. */
export const toReply = (row: ReplyRow): AgentReply => ({
  type: row.type,
  id: row.id,
  key: row.key,
  message: row.message,
  outcome: row.outcome,
  atMillis: row.at
})
