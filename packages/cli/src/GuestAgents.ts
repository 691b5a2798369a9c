/**
 * What a guest sees of the agents in a store, and tells them.
 */
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import * as AgentSignals from "@holdfast/agents/AgentSignals"
import type { AgentStore } from "@holdfast/agents/AgentStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as AgentInspection from "@holdfast/persistence/AgentInspection"
import * as GuestInbox from "@holdfast/persistence/GuestInbox"
import * as SqlAgentStore from "@holdfast/persistence/SqlAgentStore"
import type { SqliteReader } from "@holdfast/persistence/SqliteReader"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** What a guest can do with agents. */
export interface GuestAgents {
  readonly store: AgentStore["Type"]
  /** What waits in an inbox. */
  readonly inbox: (address: AgentAddress) => Effect.Effect<AgentInspection.InboxCounts, StorageError>
  /** How many entries each durable collection of an agent has. */
  readonly collections: (
    address: AgentAddress
  ) => Effect.Effect<
    ReadonlyArray<{ readonly collection: string; readonly entries: number }>,
    StorageError
  >
  /** Where all agents are. */
  readonly placements: Effect.Effect<ReadonlyArray<AgentInspection.Placement>, StorageError>
  /** Agents of one placement. */
  readonly placed: (
    placement: AgentInspection.Placement,
    limit: number
  ) => Effect.Effect<ReadonlyArray<AgentInspection.PlacedAgent>, StorageError>
  /** Puts a message into an inbox; `false` when its key was told before. */
  readonly tell: (telling: Omit<GuestInbox.Telling, "nowMillis">) => Effect.Effect<boolean, StorageError>
}

/** Makes them over a reader of the store. */
export const make = (filename: string, reader: SqliteReader): GuestAgents => ({
  store: SqlAgentStore.make(reader, Effect.succeed(""), AgentSignals.make()),
  inbox: (address) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (nowMillis) => reader.read("inbox", () => AgentInspection.inbox(address, nowMillis))
    ),
  collections: (address) => reader.read("collections", () => AgentInspection.collections(address)),
  placements: reader.read("agents", () => AgentInspection.placements()),
  placed: (placement, limit) => reader.read("agents", () => AgentInspection.placed(placement, limit)),
  tell: (telling) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (nowMillis) => GuestInbox.tell(filename, { ...telling, nowMillis })
    )
})
