/**
 * The decisions about one agent's row: what an operation makes of it, or why it is refused. Every storage decides by these.
 */
import * as Either from "effect/Either"
import * as AgentAddress from "./AgentAddress.ts"
import { AgentElsewhere, AgentParked } from "./AgentError.ts"
import type * as AgentOperation from "./AgentOperation.ts"
import { AgentSuperseded } from "./AgentOperation.ts"
import type { AgentRow } from "./AgentRecord.ts"
import { StateTooNew } from "./AgentState.ts"

/** The row of an agent nobody has activated or parked. */
export const fresh = ({ id, type }: AgentAddress.AgentAddress, nowMillis: number): AgentRow => ({
  type,
  id,
  status: "passive",
  version: 0,
  stateVersion: null,
  node: null,
  activation: 0,
  cause: null,
  createdAtMillis: nowMillis,
  updatedAtMillis: nowMillis
})

/** Gives the agent to a node, which may own it already. */
export const activate = (
  agent: AgentRow,
  node: string,
  op: AgentOperation.ActivateAgent
): Either.Either<AgentRow, AgentElsewhere | AgentParked | StateTooNew> => {
  const address = AgentAddress.make(op.type, op.id)
  if (agent.status === "parked") {
    return Either.left(new AgentParked({ address, detail: agent.cause ?? "" }))
  }
  if (agent.node !== null && agent.node !== node) {
    return Either.left(new AgentElsewhere({ address, node: agent.node }))
  }
  if (agent.stateVersion !== null && agent.stateVersion > op.stateVersionMax) {
    return Either.left(
      new StateTooNew({ address, version: agent.stateVersion, versionMax: op.stateVersionMax })
    )
  }
  return Either.right({
    ...agent,
    status: "live",
    node,
    activation: agent.activation + 1,
    updatedAtMillis: op.nowMillis
  })
}

/** Whether an activation is the latest and still owns its agent. */
export const owns = (agent: AgentRow | null, activation: number): boolean =>
  agent?.status === "live" && agent.activation === activation

/** Counts a commit that builds on the present version. */
export const commit = (
  agent: AgentRow | null,
  op: AgentOperation.CommitMessage
): Either.Either<AgentRow, AgentSuperseded> =>
  agent === null || !owns(agent, op.activation) || agent.version !== op.base
    ? Either.left(superseded(op, op.activation))
    : Either.right({
      ...agent,
      version: agent.version + 1,
      stateVersion: op.state?.version ?? agent.stateVersion,
      updatedAtMillis: op.nowMillis
    })

/** Gives the agent up, where nothing was committed since its owner decided to. */
export const passivate = (
  agent: AgentRow | null,
  op: AgentOperation.PassivateAgent
): Either.Either<AgentRow, AgentSuperseded> =>
  agent === null || !owns(agent, op.activation) || agent.version !== op.base
    ? Either.left(superseded(op, op.activation))
    : Either.right(released(agent, op.nowMillis))

/** Parks the agent; one that is parked stays as it is. */
export const park = (
  agent: AgentRow | null,
  op: AgentOperation.ParkAgent
): Either.Either<AgentRow, AgentSuperseded> => {
  if (op.activation !== null && !owns(agent, op.activation)) {
    return Either.left(superseded(op, op.activation))
  }
  const found = agent ?? fresh(op, op.nowMillis)
  return Either.right(
    found.status === "parked"
      ? found
      : { ...found, status: "parked", node: null, cause: op.cause, updatedAtMillis: op.nowMillis }
  )
}

/** Ends the latest activation of a live agent: what it still writes is refused, and its owner activates it again. */
export const restart = (agent: AgentRow, nowMillis: number): AgentRow => ({
  ...agent,
  activation: agent.activation + 1,
  updatedAtMillis: nowMillis
})

/** Makes the agent one that any node may activate. */
export const released = (agent: AgentRow, nowMillis: number): AgentRow => ({
  ...agent,
  status: "passive",
  node: null,
  cause: null,
  updatedAtMillis: nowMillis
})

/** The refusal of an activation that is not the latest. */
export const superseded = ({ id, type }: AgentAddress.AgentAddress, activation: number): AgentSuperseded =>
  new AgentSuperseded({ type, id, activation })
