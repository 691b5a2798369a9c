/**
 * Agents and their messages in memory: a persistent value, and what each operation makes of it.
 */
import { compareKeys } from "@holdfast/core/RecordStore"
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as RedBlackTree from "effect/RedBlackTree"
import type { AgentAddress } from "./AgentAddress.ts"
import * as AgentDecision from "./AgentDecision.ts"
import type * as AgentOperation from "./AgentOperation.ts"
import { DuplicateKey, InboxNotEmpty, MessageGone } from "./AgentOperation.ts"
import type { AgentRecord, AgentReply, AgentRow, InboxMessage, NewMessage } from "./AgentRecord.ts"
import { compareAddresses, laneOf } from "./AgentRecord.ts"

type Inbox = RedBlackTree.RedBlackTree<number, InboxMessage>

/** Values by key. */
type Entries = RedBlackTree.RedBlackTree<string, string>

/** All agents; never changed in place, so that an earlier value is an undo. Keyed by `laneOf` an address. */
export interface MemoryAgents {
  readonly agents: HashMap.HashMap<string, AgentRecord>
  readonly inboxes: HashMap.HashMap<string, Inbox>
  readonly messages: HashMap.HashMap<number, InboxMessage>
  /** The sequences of messages that wait and have a key. */
  readonly keys: HashMap.HashMap<string, number>
  readonly replies: HashMap.HashMap<string, AgentReply>
  /** What collections hold, by agent and collection. */
  readonly entries: HashMap.HashMap<string, Entries>
  readonly sequence: number
}

/** No agents. */
export const empty: MemoryAgents = {
  agents: HashMap.empty(),
  inboxes: HashMap.empty(),
  messages: HashMap.empty(),
  keys: HashMap.empty(),
  replies: HashMap.empty(),
  entries: HashMap.empty(),
  sequence: 0
}

/** What an operation leaves behind, and its result. */
export type Applied = Either.Either<
  { readonly state: MemoryAgents; readonly result: unknown },
  { readonly _tag: string }
>

/** Applies one operation for a node. */
export const apply = (state: MemoryAgents, node: string, op: AgentOperation.AgentOperation): Applied => {
  switch (op._tag) {
    case "ActivateAgent":
      return activate(state, node, op)
    case "CommitMessage":
      return commit(state, op)
    case "TellAgent": {
      const next = tell(state, op, op.sender ?? null, op.nowMillis)
      return done(next, { enqueued: next !== state })
    }
    case "ClaimMessages":
      return claim(state, op)
    case "PassivateAgent":
      return passivate(state, op)
    case "ParkAgent":
      return Either.map(AgentDecision.park(find(state, op), op), (row) => ({
        state: unclaim(setRow(state, row), op),
        result: undefined
      }))
    case "ResumeAgent":
      return resume(state, op)
    case "DiscardMessage": {
      const next = remove(state, op.sequence)
      return done(next, next !== state)
    }
    case "ReleaseAgents": {
      const held = select(state, (agent) => agent.node === op.node).slice(0, op.limit)
      const release = (s: MemoryAgents, agent: AgentRecord) =>
        unclaim(setRow(s, AgentDecision.released(agent, op.nowMillis)), agent)
      const next = held.reduce(release, state)
      return done(next, held.length)
    }
  }
}

/** An agent, or `null`. */
export const find = (state: MemoryAgents, address: AgentAddress): AgentRecord | null =>
  Option.getOrNull(HashMap.get(state.agents, laneOf(address)))

/** Agents that pass, by address. */
export const select = (
  state: MemoryAgents,
  passes: (agent: AgentRecord) => boolean
): ReadonlyArray<AgentRecord> =>
  Array.from(HashMap.values(state.agents)).filter(passes).sort(compareAddresses)

/** The messages of an agent, in their order. */
export const inboxOf = (state: MemoryAgents, address: AgentAddress): ReadonlyArray<InboxMessage> =>
  Array.from(RedBlackTree.values(inboxAt(state, laneOf(address))))

/** What the agent answered to a message of this key. */
export const replyTo = (
  state: MemoryAgents,
  address: AgentAddress,
  key: string
): Option.Option<AgentReply> => HashMap.get(state.replies, keyOf(address, key))

/** What a collection of the agent holds, in the order of the keys. */
export const entriesOf = (state: MemoryAgents, address: AgentAddress, collection: string): Entries =>
  Option.getOrElse(
    HashMap.get(state.entries, keyOf(address, collection)),
    () => RedBlackTree.empty(byCodePoints)
  )

// internal

const byCodePoints = Order.make<string>((a, b) => {
  const order = compareKeys(a, b)
  return order < 0 ? -1 : order > 0 ? 1 : 0
})

const done = (state: MemoryAgents, result: unknown): Applied => Either.right({ state, result })

const inboxAt = (state: MemoryAgents, lane: string): Inbox =>
  Option.getOrElse(HashMap.get(state.inboxes, lane), () => RedBlackTree.empty(Order.number))

const keyOf = (address: AgentAddress, key: string): string => {
  const lane = laneOf(address)
  return `${lane.length}:${lane}${key}`
}

/** Changes a row, and keeps the state it has. */
const setRow = (
  state: MemoryAgents,
  row: AgentRow,
  value: string | null = find(state, row)?.state ?? null
): MemoryAgents => ({
  ...state,
  agents: HashMap.set(state.agents, laneOf(row), { ...row, state: value })
})

const activate = (state: MemoryAgents, node: string, op: AgentOperation.ActivateAgent): Applied =>
  Either.map(
    AgentDecision.activate(find(state, op) ?? AgentDecision.fresh(op, op.nowMillis), node, op),
    (row) => {
      const { activation, stateVersion, version } = row
      const inboxCount = inboxOf(state, op).length
      const stored = find(state, op)?.state ?? null
      return {
        state: unclaim(setRow(state, row), op),
        result: { activation, version, stateVersion, state: stored, inboxCount }
      }
    }
  )

const commit = (state: MemoryAgents, op: AgentOperation.CommitMessage): Applied => {
  const { id, type } = op
  const row = AgentDecision.commit(find(state, op), op)
  if (Either.isLeft(row)) return Either.left(row.left)
  const answered = op.reply === undefined ? null : Option.getOrNull(replyTo(state, op, op.reply.key))
  if (answered !== null) {
    const { key, message, outcome } = answered
    return Either.left(new DuplicateKey({ type, id, key, answered: message, outcome }))
  }
  if (op.done !== undefined && !RedBlackTree.has(inboxAt(state, laneOf(op)), op.done)) {
    return Either.left(new MessageGone({ type, id, sequence: op.done }))
  }
  let next = setRow(state, row.right, op.state?.value)
  if (op.done !== undefined) next = remove(next, op.done)
  if (op.reply !== undefined) next = answer(next, { type, id, ...op.reply, atMillis: op.nowMillis })
  for (const message of op.tells) next = tell(next, message, `${type}/${id}`, op.nowMillis)
  for (const entry of op.changes ?? []) next = change(next, op, entry)
  return done(next, { version: row.right.version })
}

/** One that waits under the key was answered with it. */
const answer = (state: MemoryAgents, reply: AgentReply): MemoryAgents => {
  const waiting = Option.getOrNull(HashMap.get(state.keys, keyOf(reply, reply.key)))
  const next = waiting === null ? state : remove(state, waiting)
  return { ...next, replies: HashMap.set(next.replies, keyOf(reply, reply.key), reply) }
}

const change = (
  state: MemoryAgents,
  address: AgentAddress,
  { collection, key, value }: AgentOperation.EntryChange
): MemoryAgents => {
  const others = RedBlackTree.removeFirst(entriesOf(state, address, collection), key)
  const entries = value === null ? others : RedBlackTree.insert(others, key, value)
  const place = keyOf(address, collection)
  return {
    ...state,
    entries: RedBlackTree.size(entries) === 0
      ? HashMap.remove(state.entries, place)
      : HashMap.set(state.entries, place, entries)
  }
}

const tell = (
  state: MemoryAgents,
  { key = null, message, notBeforeMillis = 0, payload, to }: Omit<NewMessage, "key"> & {
    readonly key?: string | null
  },
  sender: string | null,
  nowMillis: number
): MemoryAgents => {
  const known = key === null ? null : keyOf(to, key)
  if (known !== null && (HashMap.has(state.keys, known) || HashMap.has(state.replies, known))) return state
  const sequence = state.sequence + 1
  const told: InboxMessage = {
    sequence,
    type: to.type,
    id: to.id,
    message,
    payload,
    key,
    attempt: 0,
    activation: 0,
    notBeforeMillis,
    enqueuedAtMillis: nowMillis,
    sender
  }
  const keys = known === null ? state.keys : HashMap.set(state.keys, known, sequence)
  return replace({ ...state, sequence, keys }, told)
}

const replace = (state: MemoryAgents, message: InboxMessage): MemoryAgents => {
  const lane = laneOf(message)
  const others = RedBlackTree.removeFirst(inboxAt(state, lane), message.sequence)
  return {
    ...state,
    messages: HashMap.set(state.messages, message.sequence, message),
    inboxes: HashMap.set(state.inboxes, lane, RedBlackTree.insert(others, message.sequence, message))
  }
}

const remove = (state: MemoryAgents, sequence: number): MemoryAgents => {
  const message = Option.getOrNull(HashMap.get(state.messages, sequence))
  if (message === null) return state
  const lane = laneOf(message)
  const inbox = RedBlackTree.removeFirst(inboxAt(state, lane), sequence)
  return {
    ...state,
    messages: HashMap.remove(state.messages, sequence),
    keys: message.key === null ? state.keys : HashMap.remove(state.keys, keyOf(message, message.key)),
    inboxes: RedBlackTree.size(inbox) === 0
      ? HashMap.remove(state.inboxes, lane)
      : HashMap.set(state.inboxes, lane, inbox)
  }
}

/** What an activation that is over had claimed can be claimed again. */
const unclaim = (state: MemoryAgents, address: AgentAddress): MemoryAgents =>
  inboxOf(state, address).filter(({ activation }) => activation !== 0)
    .reduce((next, message) => replace(next, { ...message, activation: 0 }), state)

const claim = (state: MemoryAgents, op: AgentOperation.ClaimMessages): Applied => {
  const { activation, limit, nowMillis } = op
  if (!AgentDecision.owns(find(state, op), activation)) {
    return Either.left(AgentDecision.superseded(op, activation))
  }
  const open = inboxOf(state, op).filter((message) => message.activation === 0)
  const messages = open.filter((message) => message.notBeforeMillis <= nowMillis).slice(0, limit)
    .map((message) => ({ ...message, activation, attempt: message.attempt + 1 }))
  const nextDueMillis = messages.length > 0 || open.length === 0
    ? null
    : open.reduce((next, message) => Math.min(next, message.notBeforeMillis), Infinity)
  return done(messages.reduce(replace, state), { messages, nextDueMillis })
}

const passivate = (state: MemoryAgents, op: AgentOperation.PassivateAgent): Applied => {
  const row = AgentDecision.passivate(find(state, op), op)
  if (Either.isLeft(row)) return Either.left(row.left)
  const { id, type } = op
  return inboxOf(state, op).some((message) => message.notBeforeMillis <= op.nowMillis)
    ? Either.left(new InboxNotEmpty({ type, id }))
    : done(unclaim(setRow(state, row.right), op), undefined)
}

const resume = (state: MemoryAgents, op: AgentOperation.ResumeAgent): Applied => {
  const agent = find(state, op)
  if (agent?.status !== "parked") return done(state, false)
  const next = setRow(state, AgentDecision.released(agent, op.nowMillis))
  const all = inboxOf(state, op).map((message) => ({ ...message, attempt: 0 }))
  return done(all.reduce(replace, next), true)
}
