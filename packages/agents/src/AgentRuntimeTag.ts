/**
 * The agent runtime's tag: what a definition needs of the service that runs agents, without the service itself.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Agent, Handlers } from "./Agent.ts"
import type { AgentAddress } from "./AgentAddress.ts"
import type { AgentError } from "./AgentError.ts"
import type { AgentEvent } from "./AgentEvent.ts"
import type { AskOptions } from "./AgentProtocol.ts"
import type { AgentRow } from "./AgentRecord.ts"
import type { StateTooNew, StateUndecodable } from "./AgentState.ts"
import type { CommitError } from "./CommitLog.ts"

/**
 * Where a live agent stands.
 *
 * `starting`: it is being activated, or waits to be after a crash. `idle`, `busy`: no message is in hand, or one is.
 * `passivating`: it is leaving memory.
 */
export type LiveStatus = "starting" | "idle" | "busy" | "passivating"

/** A live agent of this runtime. Times are milliseconds since 1970. */
export interface LiveAgent extends AgentAddress {
  readonly status: LiveStatus
  /** How many messages wait in memory. */
  readonly mailbox: number
  /** How many messages are handled and not yet committed. */
  readonly uncommitted: number
  /** How often it has committed, those that are on their way included. */
  readonly version: number
  /** How many restarts still count against its intensity. */
  readonly restarts: number
  readonly lastActiveAtMillis: number
}

/** What an agent's row says, and its state, decoded; `null` where none was ever written. */
export interface Inspected<S> {
  readonly row: AgentRow
  readonly state: S | null
}

/** Runs agents. */
export class AgentRuntime extends Context.Tag("@holdfast/agents/AgentRuntimeTag/AgentRuntime")<AgentRuntime, {
  /**
   * Makes the definition's agents activatable here until the scope closes; they have then handled what they had, within
   * the runtime's `drainTimeout`. Dies on a name registered already.
   */
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
  /**
   * Sends a message and does not wait for an answer. It succeeds when the message is durable; to an agent of durability
   * `none`, when its mailbox has taken it.
   */
  readonly tell: <C extends Rpc.Any>(
    address: AgentAddress,
    message: C["_tag"],
    payload: Rpc.PayloadConstructor<C>
  ) => Effect.Effect<void, AgentError, Rpc.Context<C>>
  /** The live agents of this runtime. */
  readonly list: Effect.Effect<ReadonlyArray<LiveAgent>>
  /** Reads an agent's row and its committed state, wherever it is live, without waking it. */
  readonly inspect: <N extends string, R extends Rpc.Any, S>(
    definition: Agent<N, R, S>,
    id: string
  ) => Effect.Effect<Option.Option<Inspected<S>>, StorageError | StateUndecodable | StateTooNew>
  /** Waits until the agent has handled what it has and left memory. Nothing happens to one that is not live here. */
  readonly stop: (address: AgentAddress) => Effect.Effect<void>
  /**
   * Ends the agent's present life as a crash does: the message in hand is dropped, its sender gets `AgentCrashed`, and the
   * agent restarts from its last commit within its intensity. Says whether it was live here.
   */
  readonly kill: (address: AgentAddress) => Effect.Effect<boolean>
  /** Does what `kill` does, whatever the intensity; an agent that is not live is activated. */
  readonly restart: (address: AgentAddress) => Effect.Effect<void>
  /** Parks the agent, wherever it is live: nobody activates it until it is resumed. Its messages wait. */
  readonly park: (address: AgentAddress, reason: string) => Effect.Effect<void, CommitError>
  /** Lets a parked agent go on from its last commit; says whether it was parked. */
  readonly resume: (address: AgentAddress) => Effect.Effect<boolean, CommitError>
  /** Events of the agents here from now on. A subscriber more than 1,024 events behind misses the oldest. */
  readonly events: Stream.Stream<AgentEvent>
}>() {}
