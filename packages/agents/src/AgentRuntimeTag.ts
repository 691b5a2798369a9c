/**
 * The agent runtime's tag: what a definition needs of the service that runs agents, without the service itself.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Agent, Handlers } from "./Agent.ts"
import type { AgentAddress } from "./AgentAddress.ts"
import type { AgentError } from "./AgentError.ts"
import type { AskOptions } from "./AgentProtocol.ts"

/** Runs agents. */
export class AgentRuntime extends Context.Tag("@holdfast/agents/AgentRuntimeTag/AgentRuntime")<AgentRuntime, {
  /** Makes the definition's agents activatable here until the scope closes. Dies on a name registered already. */
  readonly register: <N extends string, R extends Rpc.Any, S, RX>(
    definition: Agent<N, R, S>,
    handlers: Handlers<R, S, RX>
  ) => Effect.Effect<void, never, RX | Rpc.Context<R> | Scope.Scope>
  /** Sends a message, as the sender constructs it, and waits for its answer. */
  readonly send: <C extends Rpc.Any>(
    address: AgentAddress,
    message: C["_tag"],
    payload: Rpc.PayloadConstructor<C>,
    options?: AskOptions
  ) => Effect.Effect<Rpc.Success<C>, Rpc.Error<C> | AgentError, Rpc.Context<C>>
}>() {}
