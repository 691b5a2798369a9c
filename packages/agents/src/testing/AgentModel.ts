/**
 * An agent model says in pure functions what an agent answers and becomes: what checks compare the agent with.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type * as Exit from "effect/Exit"
import type { Agent } from "../Agent.ts"
import * as AgentAddress from "../AgentAddress.ts"
import type { AgentError } from "../AgentError.ts"
import type { Protocol } from "../AgentProtocol.ts"

/**
 * What a message comes to: the state after it, the answer, and what is told.
 *
 * `Exit.fail` is a typed failure, `Exit.die` a bug, which the sender hears of as `AgentCrashed`, and `Exit.interrupt` an
 * interruption; after these the state is what it was and nothing is told, whatever the other two say. Of an `AgentError`
 * only the tag is compared.
 */
export type Step<C extends Rpc.Any, M> = readonly [
  state: M,
  answer: Exit.Exit<Rpc.Success<C>, Rpc.Error<C> | AgentError>,
  tells?: ReadonlyArray<Told>
]

/**
 * Models the agents of one definition.
 *
 * Keys are none of its business: a message of a key that was answered with a success is not handled again, and answered
 * the same, by the check itself.
 */
export interface AgentModel<R extends Rpc.Any, S, M> {
  readonly initial: (id: string) => M
  readonly handle: {
    readonly [Tag in R["_tag"]]: (
      state: M,
      payload: Rpc.Payload<Rpc.ExtractTag<R, Tag>>,
      id: string
    ) => Step<Rpc.ExtractTag<R, Tag>, M>
  }
  /** Whether the agent's state is what the model says. By default both are written by the schema and compared. */
  readonly agrees?: (model: M, state: S) => boolean
}

/** Is a message that a model tells. Made by {@link tell}. */
export interface Told {
  readonly to: AgentAddress.AgentAddress
  readonly rpc: string
  readonly input: unknown
}

/** Is a model together with its definition, whose types are known to those who made it. Made by {@link of}. */
export interface Modelled {
  readonly definition: Agent<string, never, unknown>
  readonly initial: (id: string) => unknown
  readonly handle: Readonly<
    Record<string, (state: unknown, payload: unknown, id: string) => Step<Rpc.Any, unknown>>
  >
  readonly agrees: ((model: unknown, state: unknown) => boolean) | null
}

/**
 * Joins a model to its definition, for checks of several agents.
 *
 * @example
 * import * as Rpc from "@effect/rpc/Rpc"
 * import * as Agent from "@holdfast/agents/Agent"
 * import * as AgentModel from "@holdfast/agents/testing/AgentModel"
 * import * as Exit from "effect/Exit"
 * import * as Schema from "effect/Schema"
 *
 * const Log = Agent.make("Log", {
 *   protocol: [Rpc.make("Append", { payload: { line: Schema.String } })],
 *   state: Schema.Array(Schema.String),
 *   initial: []
 * })
 *
 * export const log = AgentModel.of(Log, {
 *   initial: (): ReadonlyArray<string> => [],
 *   handle: { Append: (lines, { line }) => [[...lines, line], Exit.void] }
 * })
 */
export const of = <N extends string, R extends Rpc.Any, S, M>(
  definition: Agent<N, R, S>,
  { agrees, handle, initial }: AgentModel<R, S, M>
): Modelled => ({
  definition: definition as unknown as Modelled["definition"],
  initial,
  handle: handle as unknown as Modelled["handle"],
  agrees: (agrees ?? null) as Modelled["agrees"]
})

/**
 * Makes what a model tells an agent, by message.
 *
 * @example
 * import * as Rpc from "@effect/rpc/Rpc"
 * import * as Agent from "@holdfast/agents/Agent"
 * import * as AgentModel from "@holdfast/agents/testing/AgentModel"
 * import * as Schema from "effect/Schema"
 *
 * const Log = Agent.make("Log", {
 *   protocol: [Rpc.make("Append", { payload: { line: Schema.String } })],
 *   state: Schema.Array(Schema.String),
 *   initial: []
 * })
 *
 * export const told = AgentModel.tell(Log, "main").Append({ line: "moved 5" })
 */
export const tell = <R extends Rpc.Any>(agent: Protocol<R>, id: string): Tells<R> => {
  const to = AgentAddress.make(agent.name, id)
  const tells = agent.protocol.map(({ _tag: rpc }) => [rpc, (input: unknown): Told => ({ to, rpc, input })])
  return Object.fromEntries(tells) as Tells<R>
}

/** Makes what a model tells, by message. */
export type Tells<R extends Rpc.Any> = {
  readonly [C in R as C["_tag"]]: (payload: Rpc.PayloadConstructor<C>) => Told
}
