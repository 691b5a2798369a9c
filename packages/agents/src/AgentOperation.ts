/**
 * The durable operations of agents and their messages, as plain data.
 */
import * as Schema from "effect/Schema"
import type { AgentAddress } from "./AgentAddress.ts"
import { make, render } from "./AgentAddress.ts"
import type { AgentElsewhere, AgentParked } from "./AgentError.ts"
import type { InboxMessage, NewMessage } from "./AgentRecord.ts"
import { laneOf } from "./AgentRecord.ts"
import type { StateTooNew } from "./AgentState.ts"
import type * as Operation from "./Operation.ts"

const address = { type: Schema.String, id: Schema.String }

/** The activation, or the version the operation builds on, is not the agent's any more: nothing changed. */
export class AgentSuperseded extends Schema.TaggedError<AgentSuperseded>()("AgentSuperseded", {
  ...address,
  activation: Schema.Number
}) {
  override get message(): string {
    return `activation ${this.activation} of agent ${render(this)} was superseded`
  }
}

/** A message of this key was answered before. Remedy: take that outcome. */
export class DuplicateKey extends Schema.TaggedError<DuplicateKey>()("DuplicateKey", {
  ...address,
  key: Schema.String,
  answered: Schema.String,
  outcome: Schema.String
}) {
  override get message(): string {
    return `agent ${render(this)} has answered a message ${this.answered} of key ${this.key} before`
  }
}

/** The message to be done is not in the agent's inbox any more: somebody discarded it while it was handled. */
export class MessageGone extends Schema.TaggedError<MessageGone>()("MessageGone", {
  ...address,
  sequence: Schema.Number
}) {
  override get message(): string {
    return `message ${this.sequence} is not in the inbox of agent ${render(this)}`
  }
}

/** Messages are due, so the agent must stay. Remedy: handle them. */
export class InboxNotEmpty extends Schema.TaggedError<InboxNotEmpty>()("InboxNotEmpty", address) {
  override get message(): string {
    return `messages wait for agent ${render(this)}`
  }
}

/** What an activation finds. */
export interface Activated {
  readonly activation: number
  readonly version: number
  readonly stateVersion: number | null
  readonly state: string | null
  /** How many messages are in its inbox, due or not. */
  readonly inboxCount: number
}

/** Claims an agent for this node, which may be its owner already; raises its activation. Its messages are unclaimed. */
export interface ActivateAgent
  extends
    Operation.Operation<"ActivateAgent", Activated, AgentElsewhere | AgentParked | StateTooNew>,
    AgentAddress
{
  /** The newest version of its state that this code reads. */
  readonly stateVersionMax: number
  readonly nowMillis: number
}

/** Changes one entry of one of the agent's collections. All are encoded text; a `value` of `null` removes the entry. */
export interface EntryChange {
  readonly collection: string
  readonly key: string
  readonly value: string | null
}

/** Writes what one message came to, if the activation is the latest and `base` is the agent's version. */
export interface CommitMessage extends
  Operation.Operation<
    "CommitMessage",
    { readonly version: number },
    AgentSuperseded | DuplicateKey | MessageGone
  >,
  AgentAddress
{
  readonly activation: number
  readonly base: number
  /** Absent when it did not change: it is then not written. */
  readonly state?: { readonly version: number; readonly value: string }
  /** Applied in their order: the last change of an entry wins. */
  readonly changes?: ReadonlyArray<EntryChange>
  /** Remembered for later messages of its key, and takes those that wait out of the inbox. */
  readonly reply?: { readonly key: string; readonly message: string; readonly outcome: string }
  /** The sequence of the inbox message that was handled. */
  readonly done?: number
  readonly tells: ReadonlyArray<NewMessage>
  readonly nowMillis: number
}

/** Puts a message into an agent's inbox, unless it has one of its key or has answered it. */
export interface TellAgent
  extends Operation.Operation<"TellAgent", { readonly enqueued: boolean }, never>, NewMessage
{
  readonly sender?: string
  readonly nowMillis: number
}

/** What a claim yields: messages, and when the next one is due if none was. */
export interface ClaimedMessages {
  readonly messages: ReadonlyArray<InboxMessage>
  readonly nextDueMillis: number | null
}

/** Takes due messages that this activation has not claimed before, in their order, raising the attempt of each. */
export interface ClaimMessages
  extends Operation.Operation<"ClaimMessages", ClaimedMessages, AgentSuperseded>, AgentAddress
{
  readonly activation: number
  readonly limit: number
  readonly nowMillis: number
}

/** Gives up an agent for which no message is due. */
export interface PassivateAgent
  extends Operation.Operation<"PassivateAgent", void, AgentSuperseded | InboxNotEmpty>, AgentAddress
{
  readonly activation: number
  readonly base: number
  readonly nowMillis: number
}

/** Parks an agent: its owner by its activation, an operator by `null`. One that is parked keeps its first cause. */
export interface ParkAgent extends Operation.Operation<"ParkAgent", void, AgentSuperseded>, AgentAddress {
  readonly activation: number | null
  readonly cause: string
  readonly nowMillis: number
}

/** Makes a parked agent passive, and gives its messages all their attempts; yields whether it was parked. */
export interface ResumeAgent extends Operation.Operation<"ResumeAgent", boolean, never>, AgentAddress {
  readonly nowMillis: number
}

/** Removes a message from its inbox; yields whether it was there. */
export interface DiscardMessage extends Operation.Operation<"DiscardMessage", boolean, never> {
  readonly sequence: number
}

/** Makes the agents of a node passive; yields how many. */
export interface ReleaseAgents extends Operation.Operation<"ReleaseAgents", number, never> {
  readonly node: string
  readonly limit: number
  readonly nowMillis: number
}

/** Every operation of agents and their messages. */
export type AgentOperation =
  | ActivateAgent
  | CommitMessage
  | TellAgent
  | ClaimMessages
  | PassivateAgent
  | ParkAgent
  | ResumeAgent
  | DiscardMessage
  | ReleaseAgents

type Fields<O extends AgentOperation> = Omit<O, "_tag" | "lane" | symbol>

/** Makes an `ActivateAgent`. */
export const activateAgent = (o: Fields<ActivateAgent>): ActivateAgent => ({
  _tag: "ActivateAgent",
  lane: laneOf(o),
  ...o
})

/** Makes a `CommitMessage`. */
export const commitMessage = (o: Fields<CommitMessage>): CommitMessage => ({
  _tag: "CommitMessage",
  lane: laneOf(o),
  ...o
})

/** Makes a `TellAgent`. Its lane is the inbox: it keeps the order of tells, and no commit builds on it. */
export const tellAgent = (o: Fields<TellAgent>): TellAgent => ({
  _tag: "TellAgent",
  lane: `inbox:${laneOf(o.to)}`,
  ...o
})

/** Makes a `ClaimMessages`. Nothing builds on an unanswered claim, so claims have a lane of their own. */
export const claimMessages = (o: Fields<ClaimMessages>): ClaimMessages => ({
  _tag: "ClaimMessages",
  lane: `claims:${laneOf(o)}`,
  ...o
})

/** Makes a `PassivateAgent`. */
export const passivateAgent = (o: Fields<PassivateAgent>): PassivateAgent => ({
  _tag: "PassivateAgent",
  lane: laneOf(o),
  ...o
})

/** Makes a `ParkAgent`. */
export const parkAgent = (o: Fields<ParkAgent>): ParkAgent => ({ _tag: "ParkAgent", lane: laneOf(o), ...o })

/** Makes a `ResumeAgent`. */
export const resumeAgent = (o: Fields<ResumeAgent>): ResumeAgent => ({
  _tag: "ResumeAgent",
  lane: laneOf(o),
  ...o
})

/** Makes a `DiscardMessage`. */
export const discardMessage = (sequence: number): DiscardMessage => ({
  _tag: "DiscardMessage",
  lane: `message:${sequence}`,
  sequence
})

/** Makes a `ReleaseAgents`. */
export const releaseAgents = (o: Fields<ReleaseAgents>): ReleaseAgents => ({
  _tag: "ReleaseAgents",
  lane: `node:${o.node}`,
  ...o
})

const tags: Readonly<Record<AgentOperation["_tag"], true>> = {
  ActivateAgent: true,
  CommitMessage: true,
  TellAgent: true,
  ClaimMessages: true,
  PassivateAgent: true,
  ParkAgent: true,
  ResumeAgent: true,
  DiscardMessage: true,
  ReleaseAgents: true
}

/** Whether an operation is one of agents. */
export const isAgentOperation = (op: Operation.Any): op is AgentOperation => Object.hasOwn(tags, op._tag)

/** The agents that an operation, once committed, may have given something to do or taken from their owner. */
export const awakens = (op: AgentOperation): ReadonlyArray<AgentAddress> => {
  switch (op._tag) {
    case "CommitMessage":
      return op.tells.map(({ to }) => to)
    case "TellAgent":
      return [op.to]
    case "ResumeAgent":
      return [make(op.type, op.id)]
    case "ParkAgent":
      return op.activation === null ? [make(op.type, op.id)] : []
    default:
      return []
  }
}
