/**
 * A guest inbox puts messages into the inboxes of agents, whether or not a node runs that knows them.
 */
import type { NewMessage } from "@holdfast/agents/AgentRecord"
import type { StorageError } from "@holdfast/core/StorageError"
import type * as Effect from "effect/Effect"
import * as GuestWriter from "./GuestWriter.ts"
import * as InboxRows from "./InboxRows.ts"
import type { SqlPlan } from "./SqlPlan.ts"

/** What is told, by whom and when. */
export interface Telling {
  readonly message: NewMessage
  readonly sender: string
  readonly nowMillis: number
}

/**
 * Puts a message into its inbox once: `false` when the agent has one of its key there, or has answered it.
 *
 * Its payload is not checked, as only the node that handles it knows the protocol.
 */
export const tell = (filename: string, telling: Telling): Effect.Effect<boolean, StorageError> =>
  GuestWriter.write(filename, "tell", () => tellOnce(telling))

function* tellOnce({ message, nowMillis, sender }: Telling): SqlPlan<boolean> {
  const { key, to } = message
  const inbox = yield* InboxRows.load(key === undefined ? [] : [{ ...to, key }], [])
  const isNew = InboxRows.tell(inbox, message, sender, nowMillis)
  yield* InboxRows.flush(inbox)
  return isNew
}
