/**
 * An agent record is what storage knows of one agent: who owns it, how often it has committed, and its encoded state.
 */
import { compareKeys } from "@holdfast/core/RecordStore"
import * as Schema from "effect/Schema"
import type { AgentAddress } from "./AgentAddress.ts"

/**
 * Where an agent stands; it is in exactly one of these.
 *
 * `passive`: a row, which any node may activate. `live`: owned by a node. `parked`: nobody may activate it until it is
 * resumed.
 */
export const AgentStatus = Schema.Literal("passive", "live", "parked")
export type AgentStatus = typeof AgentStatus.Type

/** An agent as storage knows it, without its state. Times are milliseconds since 1970. */
export interface AgentRow extends AgentAddress {
  readonly status: AgentStatus
  /** How often it has committed. */
  readonly version: number
  /** The version of the schema its state was written with; `null` when no state was ever written. */
  readonly stateVersion: number | null
  /** The node that owns it, while it is live. */
  readonly node: string | null
  /** Raised by every activation and never lowered: a commit is accepted only from the latest. */
  readonly activation: number
  /** Why it is parked, while it is. */
  readonly cause: string | null
  readonly createdAtMillis: number
  readonly updatedAtMillis: number
}

/** An agent with its state, encoded; `null` when none was ever written. */
export interface AgentRecord extends AgentRow {
  readonly state: string | null
}

/** A message on its way to an agent, with its payload already encoded. */
export interface NewMessage {
  readonly to: AgentAddress
  /** The tag of the message in the receiver's protocol. */
  readonly message: string
  /** The encoded payload: JSON text. */
  readonly payload: string
  /** Unique for the receiver: a message whose key it has, or has answered, changes nothing. */
  readonly key?: string
  /** Not handed out before this time; at once by default. */
  readonly notBeforeMillis?: number
}

/** A message that waits in an agent's inbox, or is being handled. Times are milliseconds since 1970. */
export interface InboxMessage extends AgentAddress {
  /** Its place in the order of all messages, unique in the store. */
  readonly sequence: number
  readonly message: string
  readonly payload: string
  readonly key: string | null
  /** How often it was claimed since it was told or its agent last resumed. */
  readonly attempt: number
  /** The activation that has claimed it, while that is the latest and owns the agent; otherwise 0. */
  readonly activation: number
  /** 0 when it is due at once. */
  readonly notBeforeMillis: number
  readonly enqueuedAtMillis: number
  /** Who told it, in words; `null` when nobody said. */
  readonly sender: string | null
}

/** What came of a message with a key; it answers every later one of the same key. */
export interface AgentReply extends AgentAddress {
  readonly key: string
  readonly message: string
  /** The encoded reply or typed failure. */
  readonly outcome: string
  readonly atMillis: number
}

/** An entry of one of an agent's collections; both texts are encoded. */
export interface AgentEntry {
  readonly key: string
  readonly value: string
}

/** How many agents of a type there are by status, and how many messages wait for them. */
export interface AgentCounts {
  readonly type: string
  readonly passive: number
  readonly live: number
  readonly parked: number
  readonly messages: number
}

/** One text per address, unlike that of any other: the lane of the agent's commits. */
export const laneOf = ({ id, type }: AgentAddress): string => `agent:${type.length}:${type}${id}`

/** The order of addresses: by type, then by id, in code points. */
export const compareAddresses = (a: AgentAddress, b: AgentAddress): number =>
  compareKeys(a.type, b.type) || compareKeys(a.id, b.id)
