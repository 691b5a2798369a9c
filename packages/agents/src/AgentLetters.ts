/**
 * Agent letters are the durable messages that agents could not handle, kept until somebody retries or removes them.
 */
import type { DeadLetters as Letters } from "@holdfast/core/DeadLetters"
import * as DeadLetters from "@holdfast/core/DeadLetters"
import type { RecordStore } from "@holdfast/core/RecordStore"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { AgentAddress } from "./AgentAddress.ts"

/** Is a message as it was stored; `payload` is its encoded form. */
export const AgentLetter = Schema.Struct({
  address: AgentAddress,
  rpc: Schema.String,
  payload: Schema.String,
  key: Schema.NullOr(Schema.String),
  sender: Schema.NullOr(Schema.String)
})
export type AgentLetter = typeof AgentLetter.Type

/** Opens the dead letters of all agents in the storage. */
export const make: Effect.Effect<Letters<AgentLetter>, never, RecordStore> = DeadLetters.make(
  "agents",
  AgentLetter
)
