import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import type * as AgentOperation from "@holdfast/agents/AgentOperation"
import type {
  AgentEntry,
  AgentRecord,
  AgentReply,
  InboxMessage,
  NewMessage
} from "@holdfast/agents/AgentRecord"

/** Agents, messages and replies as arrays: slow, and plain enough to be read as the specification. */
export interface AgentModel {
  agents: Array<{ -readonly [K in keyof AgentRecord]: AgentRecord[K] }>
  messages: Array<{ -readonly [K in keyof InboxMessage]: InboxMessage[K] }>
  replies: Array<AgentReply>
  entries: Array<AgentAddress & AgentEntry & { readonly collection: string }>
  /** How many messages were ever told; a message's sequence is its place in that order. */
  told: number
}

/** What a collection holds, by key. */
export const entries = (model: AgentModel, { id, type }: AgentAddress, collection: string) =>
  model.entries.filter((entry) => entry.type === type && entry.id === id && entry.collection === collection)
    .map(({ key, value }) => ({ key, value }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)))

/** Whether a node should claim messages for the agent. */
export const isPending = (model: AgentModel, node: string, address: AgentAddress, nowMillis: number) => {
  const agent = find(model, address)
  const due = inbox(model, address).filter(({ notBeforeMillis }) => notBeforeMillis <= nowMillis)
  if (agent === undefined || agent.status === "passive") return due.length > 0
  return agent.node === node && due.some(({ activation }) => activation === 0)
}

/** What an operation yields, or the facts of its refusal. */
export type ModelAnswer = { readonly ok: unknown } | { readonly refused: Record<string, unknown> }

export const make = (): AgentModel => ({ agents: [], messages: [], replies: [], entries: [], told: 0 })

/** All or nothing: a refusal leaves the model as it was. */
export const commit = (
  model: AgentModel,
  node: string,
  unit: ReadonlyArray<AgentOperation.AgentOperation>
): { readonly model: AgentModel; readonly answer: ModelAnswer } => {
  const next = structuredClone(model)
  const results: Array<unknown> = []
  for (const op of unit) {
    const answer = apply(next, node, op)
    if ("refused" in answer) return { model, answer }
    results.push(answer.ok)
  }
  return { model: next, answer: { ok: results } }
}

export const find = (model: AgentModel, address: AgentAddress) =>
  model.agents.find((agent) => agent.type === address.type && agent.id === address.id)

export const inbox = (model: AgentModel, address: AgentAddress) =>
  model.messages.filter((message) => message.type === address.type && message.id === address.id)

export const replyTo = (model: AgentModel, address: AgentAddress, key: string | undefined) =>
  model.replies.find((r) => r.type === address.type && r.id === address.id && r.key === key)

const create = (model: AgentModel, { id, type }: AgentAddress, nowMillis: number) => {
  const nothing = { stateVersion: null, state: null, node: null, cause: null }
  const made = { type, id, status: "passive" as const, version: 0, activation: 0, ...nothing }
  model.agents.push({ ...made, createdAtMillis: nowMillis, updatedAtMillis: nowMillis })
  return model.agents[model.agents.length - 1] as AgentModel["agents"][number]
}

const tell = (model: AgentModel, message: NewMessage, sender: string | null, nowMillis: number): boolean => {
  const { key, to } = message
  const waits = inbox(model, to).some((other) => other.key === key)
  if (key !== undefined && (waits || replyTo(model, to, key) !== undefined)) return false
  model.messages.push({
    sequence: ++model.told,
    type: to.type,
    id: to.id,
    message: message.message,
    payload: message.payload,
    key: key ?? null,
    attempt: 0,
    activation: 0,
    notBeforeMillis: message.notBeforeMillis ?? 0,
    enqueuedAtMillis: nowMillis,
    sender
  })
  return true
}

const apply = (model: AgentModel, node: string, op: AgentOperation.AgentOperation): ModelAnswer => {
  switch (op._tag) {
    case "ActivateAgent":
      return activate(model, node, op)
    case "CommitMessage":
      return commitMessage(model, op)
    case "TellAgent":
      return { ok: { enqueued: tell(model, op, op.sender ?? null, op.nowMillis) } }
    case "ClaimMessages":
      return claim(model, op)
    case "PassivateAgent":
      return passivate(model, op)
    case "ParkAgent":
      return park(model, op)
    case "ResumeAgent": {
      const agent = find(model, op)
      if (agent?.status !== "parked") return { ok: false }
      Object.assign(agent, { status: "passive", cause: null, updatedAtMillis: op.nowMillis })
      for (const message of inbox(model, op)) message.attempt = 0
      return { ok: true }
    }
    case "DiscardMessage": {
      const before = model.messages.length
      model.messages = model.messages.filter((message) => message.sequence !== op.sequence)
      return { ok: model.messages.length < before }
    }
    case "ReleaseAgents": {
      const held = model.agents.filter((agent) => agent.node === op.node)
        .sort((a, b) => (`${a.type}/${a.id}` < `${b.type}/${b.id}` ? -1 : 1)).slice(0, op.limit)
      const passive = { status: "passive", node: null, updatedAtMillis: op.nowMillis }
      for (const agent of held) {
        Object.assign(agent, passive)
        unclaim(model, agent)
      }
      return { ok: held.length }
    }
  }
}

const superseded = ({ activation, id, type }: AgentAddress & { readonly activation: number }) => ({
  refused: { _tag: "AgentSuperseded", type, id, activation }
})

const owner = (model: AgentModel, op: AgentAddress & { readonly activation: number | null }) => {
  const agent = find(model, op)
  return agent?.status === "live" && agent.activation === op.activation ? agent : undefined
}

const activate = (model: AgentModel, node: string, op: AgentOperation.ActivateAgent): ModelAnswer => {
  const address = { type: op.type, id: op.id }
  const agent = find(model, op) ?? create(model, op, op.nowMillis)
  if (agent.status === "parked") return { refused: { _tag: "AgentParked", address, detail: agent.cause } }
  if (agent.status === "live" && agent.node !== node) {
    return { refused: { _tag: "AgentElsewhere", address, node: agent.node } }
  }
  if ((agent.stateVersion ?? 0) > op.stateVersionMax) {
    const [version, versionMax] = [agent.stateVersion, op.stateVersionMax]
    return { refused: { _tag: "StateTooNew", address, version, versionMax } }
  }
  const activation = agent.activation + 1
  Object.assign(agent, { status: "live", node, activation, updatedAtMillis: op.nowMillis })
  unclaim(model, op)
  const { state, stateVersion, version } = agent
  return { ok: { activation, version, stateVersion, state, inboxCount: inbox(model, op).length } }
}

const commitMessage = (model: AgentModel, op: AgentOperation.CommitMessage): ModelAnswer => {
  const { id, type } = op
  const agent = owner(model, op)
  if (agent?.version !== op.base) return superseded(op)
  const answered = replyTo(model, op, op.reply?.key)
  if (answered !== undefined) {
    const { key, message, outcome } = answered
    return { refused: { _tag: "DuplicateKey", type, id, key, answered: message, outcome } }
  }
  if (op.done !== undefined && !inbox(model, op).some(({ sequence }) => sequence === op.done)) {
    return { refused: { _tag: "MessageGone", type, id, sequence: op.done } }
  }
  agent.version += 1
  agent.updatedAtMillis = op.nowMillis
  if (op.state !== undefined) Object.assign(agent, { stateVersion: op.state.version, state: op.state.value })
  const isDone = (message: InboxMessage) =>
    message.type === type && message.id === id &&
    (message.sequence === op.done || (op.reply !== undefined && message.key === op.reply.key))
  model.messages = model.messages.filter((message) => !isDone(message))
  if (op.reply !== undefined) model.replies.push({ type, id, ...op.reply, atMillis: op.nowMillis })
  for (const message of op.tells) tell(model, message, `${type}/${id}`, op.nowMillis)
  for (const change of op.changes ?? []) changeEntry(model, op, change)
  return { ok: { version: agent.version } }
}

const changeEntry = (
  model: AgentModel,
  { id, type }: AgentAddress,
  { collection, key, value }: AgentOperation.EntryChange
) => {
  model.entries = model.entries.filter((entry) =>
    entry.type !== type || entry.id !== id || entry.collection !== collection || entry.key !== key
  )
  if (value !== null) model.entries.push({ type, id, collection, key, value })
}

const claim = (model: AgentModel, op: AgentOperation.ClaimMessages): ModelAnswer => {
  if (owner(model, op) === undefined) return superseded(op)
  const open = inbox(model, op).filter((message) => message.activation === 0)
  const due = open.filter((message) => message.notBeforeMillis <= op.nowMillis).slice(0, op.limit)
  for (const message of due) {
    message.attempt += 1
    message.activation = op.activation
  }
  const later = open.map((message) => message.notBeforeMillis)
  const nextDueMillis = due.length > 0 || later.length === 0 ? null : Math.min(...later)
  return { ok: { messages: structuredClone(due), nextDueMillis } }
}

/** What an activation that is over had claimed can be claimed again. */
const unclaim = (model: AgentModel, agent: AgentAddress) => {
  for (const message of inbox(model, agent)) message.activation = 0
}

const passivate = (model: AgentModel, op: AgentOperation.PassivateAgent): ModelAnswer => {
  const agent = owner(model, op)
  if (agent?.version !== op.base) return superseded(op)
  if (inbox(model, op).some((message) => message.notBeforeMillis <= op.nowMillis)) {
    return { refused: { _tag: "InboxNotEmpty", type: op.type, id: op.id } }
  }
  Object.assign(agent, { status: "passive", node: null, updatedAtMillis: op.nowMillis })
  unclaim(model, op)
  return { ok: undefined }
}

const park = (model: AgentModel, op: AgentOperation.ParkAgent): ModelAnswer => {
  const { activation, cause, nowMillis } = op
  if (activation !== null && owner(model, op) === undefined) return superseded({ ...op, activation })
  const agent = find(model, op) ?? create(model, op, nowMillis)
  if (agent.status === "parked") return { ok: undefined }
  Object.assign(agent, { status: "parked", node: null, cause, updatedAtMillis: nowMillis })
  unclaim(model, op)
  return { ok: undefined }
}
