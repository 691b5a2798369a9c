/**
 * The agent store reads agents and their messages; every write goes through the commit log.
 */
import type { StorageError } from "@holdfast/core/StorageError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { AgentAddress } from "./AgentAddress.ts"
import type {
  AgentCounts,
  AgentRecord,
  AgentReply,
  AgentRow,
  AgentStatus,
  InboxMessage
} from "./AgentRecord.ts"

/** Which agents to list, by type and id. */
export interface AgentQuery {
  readonly type?: string
  readonly status?: AgentStatus
  /** Only agents behind this one: the last one of the page before. */
  readonly after?: AgentAddress
  /** At most this many. */
  readonly limit: number
}

/** Which agents to activate, by type and id. */
export interface PendingQuery {
  readonly types: ReadonlyArray<string>
  readonly nowMillis: number
  /** Only agents behind this one: the last one of the page before. */
  readonly after?: AgentAddress
  /** At most this many. */
  readonly limit: number
}

/** Reads agents. What a commit has acknowledged is seen by every later read of the same process. */
export class AgentStore extends Context.Tag("@holdfast/agents/AgentStore")<AgentStore, {
  /** The agent with its state, or `none` when nobody has activated or parked it. */
  readonly get: (address: AgentAddress) => Effect.Effect<Option.Option<AgentRecord>, StorageError>
  /** Agents without their states. */
  readonly list: (query: AgentQuery) => Effect.Effect<ReadonlyArray<AgentRow>, StorageError>
  /** The messages of an agent in their order, behind `after` (a sequence; 0 for all). */
  readonly inbox: (
    address: AgentAddress,
    after: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<InboxMessage>, StorageError>
  /** What the agent answered to a message of this key. */
  readonly reply: (
    address: AgentAddress,
    key: string
  ) => Effect.Effect<Option.Option<AgentReply>, StorageError>
  /** Agents that are passive, or were never activated, and have messages that are due. */
  readonly pending: (query: PendingQuery) => Effect.Effect<ReadonlyArray<AgentAddress>, StorageError>
  /** Every type that has agents or messages, by name. */
  readonly counts: Effect.Effect<ReadonlyArray<AgentCounts>, StorageError>
  /** Completes when a commit of this process told, parked or resumed the agent: a hint, never relied on. */
  readonly changed: (address: AgentAddress) => Effect.Effect<void>
}>() {}
