/**
 * An agent command is what an operator asks of one agent through the database: to restart, to park, to resume it, or to
 * discard one of its messages.
 */
import type { AgentAddress } from "@holdfast/agents/AgentAddress"
import * as AgentDecision from "@holdfast/agents/AgentDecision"
import * as AgentOperation from "@holdfast/agents/AgentOperation"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as AgentHandlers from "./AgentHandlers.ts"
import * as AgentRows from "./AgentRows.ts"
import type { BatchContext } from "./OperationHandler.ts"
import type { SqlPlan } from "./SqlPlan.ts"

const address = { type: Schema.String, id: Schema.String }

/** Ends the present activation of a live agent; its owner activates it again, from the last commit. */
export const RestartAgent = Schema.TaggedStruct("RestartAgent", address)

/** Parks an agent for the reason `cause`: nobody activates it until it is resumed. */
export const ParkAgent = Schema.TaggedStruct("ParkAgent", { ...address, cause: Schema.String })

/** Makes a parked agent passive, and gives its messages all their attempts. */
export const ResumeAgent = Schema.TaggedStruct("ResumeAgent", address)

/** Removes a message from the agent's inbox. */
export const DiscardMessage = Schema.TaggedStruct("DiscardMessage", { ...address, sequence: Schema.Number })

/** Every command that concerns one agent. */
export const AgentCommand = Schema.Union(RestartAgent, ParkAgent, ResumeAgent, DiscardMessage)
export type AgentCommand = typeof AgentCommand.Type

/** Carries out a command; yields how many things it changed, or `null` when that is for another node to do. */
export function* execute(
  command: AgentCommand,
  nowMillis: number,
  context: BatchContext
): SqlPlan<number | null> {
  const { id, type } = command
  switch (command._tag) {
    case "RestartAgent":
      return yield* restart(command, nowMillis, context)
    case "ParkAgent":
      return yield* park(command, nowMillis, context)
    case "ResumeAgent": {
      const resume = AgentOperation.resumeAgent({ type, id, nowMillis })
      return countOf(yield* AgentHandlers.handlers.ResumeAgent([resume], context))
    }
    case "DiscardMessage": {
      const discard = AgentOperation.discardMessage(command.sequence)
      return countOf(yield* AgentHandlers.handlers.DiscardMessage([discard], context))
    }
  }
}

/** By its owner, in whose memory it is, or by anybody where nobody owns it. */
function* restart(
  { id, type }: AgentAddress,
  nowMillis: number,
  { agents, node }: BatchContext
): SqlPlan<number | null> {
  const address = { type, id }
  yield* AgentRows.load(agents, [address])
  const row = AgentRows.get(agents, address)
  if (row?.status !== "live") return 0
  if (row.node !== node) return null
  AgentRows.set(agents, AgentDecision.restart(row, nowMillis))
  agents.awakened.push(address)
  return 1
}

function* park(
  { cause, id, type }: typeof ParkAgent.Type,
  nowMillis: number,
  context: BatchContext
): SqlPlan<number> {
  const operation = AgentOperation.parkAgent({ type, id, activation: null, cause, nowMillis })
  yield* AgentRows.load(context.agents, [operation])
  if (AgentRows.get(context.agents, operation)?.status === "parked") return 0
  yield* AgentHandlers.handlers.ParkAgent([operation], context)
  return 1
}

const countOf = (answers: ReadonlyArray<Either.Either<boolean>>): number =>
  answers.filter((answer) => Either.isRight(answer) && answer.right).length
