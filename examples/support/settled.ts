/**
 * Waits, in real time, for what agents have told one another.
 */
import { AgentStore } from "@holdfast/agents/AgentStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** Waits until no agent has a message in its inbox. One that is parked keeps what it has, and is not waited for. */
export const settled: Effect.Effect<void, StorageError, AgentStore> = Effect.flatMap(
  AgentStore,
  ({ counts }) =>
    Effect.repeat(counts, {
      until: (types) => types.every(({ messages, parked }) => messages === 0 || parked > 0),
      schedule: Schedule.spaced("20 millis")
    })
)
