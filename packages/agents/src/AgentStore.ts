/**
 * The agent store reads agents and their messages; every write goes through the commit log.
 */
import type { StorageError } from "@holdfast/core/StorageError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { AgentAddress } from "./AgentAddress.ts"
import type {
  AgentCounts,
  AgentEntry,
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

/** For which agents to claim messages, by type and id. */
export interface PendingQuery {
  readonly types: ReadonlyArray<string>
  readonly nowMillis: number
  /** Only agents behind this one: the last one of the page before. */
  readonly after?: AgentAddress
  /** At most this many. */
  readonly limit: number
}

/** Which entries of a collection to read, by key in code points. */
export interface EntryQuery {
  /** Only keys behind this one: the last one of the page before. */
  readonly after?: string
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
  /** The value of an entry of one of the agent's collections. */
  readonly entry: (
    address: AgentAddress,
    collection: string,
    key: string
  ) => Effect.Effect<Option.Option<string>, StorageError>
  /** Entries of one of the agent's collections. */
  readonly entries: (
    address: AgentAddress,
    collection: string,
    query: EntryQuery
  ) => Effect.Effect<ReadonlyArray<AgentEntry>, StorageError>
  /** How many entries a collection has, those of the keys in `except` left out; costs as much as `except` is long. */
  readonly entryCount: (
    address: AgentAddress,
    collection: string,
    except?: ReadonlyArray<string>
  ) => Effect.Effect<number, StorageError>
  /**
   * Agents for which this process should claim messages: those that have messages due and are passive or were never
   * activated, and those that are live on this process's node and have messages due which the present activation has
   * not claimed.
   */
  readonly pending: (query: PendingQuery) => Effect.Effect<ReadonlyArray<AgentAddress>, StorageError>
  /** Every type that has agents or messages, by name. */
  readonly counts: Effect.Effect<ReadonlyArray<AgentCounts>, StorageError>
  /**
   * Calls `awake`, in the turn in which it was committed, for every agent that a commit of this process told something,
   * resumed, or parked for an operator: a hint, never relied on. `awake` must be quick and must not throw; it hears of
   * messages that are due later, too.
   */
  readonly subscribe: (awake: (address: AgentAddress) => void) => Effect.Effect<void, never, Scope.Scope>
}>() {}
