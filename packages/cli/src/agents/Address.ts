/**
 * Addresses of agents as people write them, and the options that commands about agents share.
 */
import * as Args from "@effect/cli/Args"
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import { render } from "@holdfast/agents/AgentAddress"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { withGuest } from "../commands/Shared.ts"
import * as Failure from "../Failure.ts"
import type { Guest } from "../Guest.ts"

/** `TYPE/ID`. */
export const address = Args.text({ name: "TYPE/ID" }).pipe(
  Args.withDescription("The agent: the name of its definition, a slash, and its id")
)

/** Reads an address; all behind the first slash is the id. */
export const parse = (text: string): Effect.Effect<AgentAddress, Failure.Failure> => {
  const slash = text.indexOf("/")
  return slash < 1 || slash === text.length - 1
    ? Failure.usage(`${text}: write the agent as TYPE/ID, such as Counter/c-1`)
    : Effect.succeed({ type: text.slice(0, slash), id: text.slice(slash + 1) })
}

/** Uses a store as a guest; its own failures become failures of the command. */
export const visiting = <A, R>(
  db: string,
  use: (guest: Guest) => Effect.Effect<A, StorageError | Failure.Failure, R>
) =>
  withGuest(
    db,
    (guest) =>
      Effect.mapError(use(guest), (error) => error._tag === "Failure" ? error : Failure.storage(db, error))
  )

/** The agent's record, or the failure that there is none. */
export const requireAgent = (guest: Guest, address: AgentAddress) =>
  Effect.flatMap(
    guest.agents.store.get(address),
    Option.match({
      onNone: () => Effect.fail(Failure.conflict(`there is no agent ${render(address)}`)),
      onSome: Effect.succeed
    })
  )
