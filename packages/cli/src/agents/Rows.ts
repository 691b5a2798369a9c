/**
 * Agents and their messages as the command writes them, for people and as JSON.
 */
import { render } from "@holdfast/agents/AgentAddress"
import type { AgentRow, InboxMessage } from "@holdfast/agents/AgentRecord"
import { iso, oneLine, time } from "../Table.ts"

/** Headings of {@link row}. */
export const headings = ["AGENT", "STATUS", "COMMITS", "ACTIVATIONS", "NODE", "UPDATED", "WHY"]

/** An agent as a row of a table. */
export const row = (agent: AgentRow): ReadonlyArray<string | number> => [
  render(agent),
  agent.status,
  agent.version,
  agent.activation,
  agent.node ?? "-",
  time(agent.updatedAtMillis),
  agent.cause === null ? "" : oneLine(agent.cause, 60)
]

/** An agent as JSON. */
export const agentJson = (agent: AgentRow) => ({
  type: agent.type,
  id: agent.id,
  status: agent.status,
  commits: agent.version,
  activations: agent.activation,
  stateVersion: agent.stateVersion,
  node: agent.node,
  cause: agent.cause,
  createdAt: iso(agent.createdAtMillis),
  updatedAt: iso(agent.updatedAtMillis)
})

/** A message as JSON. A payload that is no JSON is given as text. */
export const messageJson = (message: InboxMessage) => ({
  no: message.sequence,
  message: message.message,
  payload: parsed(message.payload),
  key: message.key,
  attempt: message.attempt,
  sender: message.sender,
  notBefore: message.notBeforeMillis === 0 ? null : iso(message.notBeforeMillis),
  toldAt: iso(message.enqueuedAtMillis)
})

/** What a stored text holds; the text itself where it is no JSON. */
export const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
