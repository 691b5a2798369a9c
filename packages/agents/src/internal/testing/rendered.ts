/**
 * Answers and states are compared, and shown, as their schemas write them.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import * as Predicate from "effect/Predicate"
import type { AgentAddress } from "../../AgentAddress.ts"
import { isAgentError } from "../../AgentError.ts"
import type { Modelled } from "../../testing/AgentModel.ts"
import type { Sent } from "./World.ts"
import * as World from "./World.ts"

/** Writes an answer. Of an infrastructure error only the tag is written; a bug is `AgentCrashed`. */
export const answer = (
  model: Modelled,
  sent: Sent,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<string> => {
  const codec = World.codecOf(model, sent)
  const write = (outcome: Either.Either<unknown, unknown>) =>
    Effect.match(codec.encodeOutcome(sent.to, outcome), { onSuccess: canonical, onFailure: String })
  if (exit._tag === "Success") return write(Either.right(exit.value))
  if (Cause.isDie(exit.cause)) return Effect.succeed("AgentCrashed")
  const failure = Cause.failureOption(exit.cause)
  if (failure._tag === "None") return Effect.succeed("interrupted")
  return isAgentError(failure.value)
    ? Effect.succeed(failure.value._tag)
    : write(Either.left(failure.value))
}

/** Writes a state. */
export const state = ({ definition }: Modelled, address: AgentAddress, value: unknown): string =>
  Either.match(definition.state.encode(address, value), { onRight: canonical, onLeft: String })

/** Writes the state of a model, which is of a kind of its own where the model says how the two agree. */
export const modelled = (model: Modelled, address: AgentAddress, value: unknown): string =>
  model.agrees === null ? state(model, address, value) : Inspectable.toStringUnknown(value, 0)

// internal

/** Keys in one order, whoever put them there. */
const canonical = (text: string): string =>
  JSON.stringify(JSON.parse(text), (_, value: unknown) =>
    Predicate.isRecord(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value)
