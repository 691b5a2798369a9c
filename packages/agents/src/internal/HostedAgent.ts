/**
 * A hosted agent is a definition with its handlers, as the runtime that runs them sees it: the types are known to those
 * who made them, and erased here.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type * as Fiber from "effect/Fiber"
import * as FiberRefs from "effect/FiberRefs"
import type * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type { Agent, Handlers } from "../Agent.ts"
import type { AgentAddress } from "../AgentAddress.ts"
import type { InvalidPayload, UnknownMessage } from "../AgentError.ts"
import type { Handle } from "../AgentHandle.ts"
import type { StateCodec } from "../AgentState.ts"
import type { EncodeError } from "../ProtocolCodec.ts"
import { currentMessage } from "./CurrentMessage.ts"
import type { Failure, HandlerFailure } from "./HandlerFailure.ts"
import type { MessageRun } from "./MessageRun.ts"

/** Is the codec of a message whose types are not known. */
export interface HostedMessage {
  readonly construct: (address: AgentAddress, input: unknown) => Effect.Effect<unknown, InvalidPayload>
  readonly key: (payload: unknown) => Option.Option<string>
  readonly encodePayload: (address: AgentAddress, payload: unknown) => Effect.Effect<string, EncodeError>
  readonly decodePayload: (address: AgentAddress, text: string) => Effect.Effect<unknown, InvalidPayload>
  readonly encodeOutcome: (
    address: AgentAddress,
    outcome: Either.Either<unknown, unknown>
  ) => Effect.Effect<string, EncodeError>
  readonly decodeOutcome: (
    address: AgentAddress,
    text: string
  ) => Effect.Effect<Either.Either<unknown, HandlerFailure>, InvalidPayload>
}

/** Handles one message. */
export type HostedHandler = (payload: unknown, agent: Handle<unknown>) => Effect.Effect<unknown, Failure>

/** Is what a runtime needs of one definition. */
export interface HostedAgent extends
  Pick<
    Agent<string, never, unknown>,
    | "name"
    | "initial"
    | "capabilities"
    | "durability"
    | "mailbox"
    | "askTimeout"
    | "passivateAfter"
    | "supervision"
  >
{
  readonly state: StateCodec<unknown>
  readonly message: (address: AgentAddress, tag: string) => Either.Either<HostedMessage, UnknownMessage>
  readonly handlers: Readonly<Record<string, HostedHandler>>
  /** Runs what belongs to a message, with all that the handlers need. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>, message: MessageRun | null) => Fiber.RuntimeFiber<A, E>
}

/** Makes one of a definition, with the context of whoever calls. */
export const make = <N extends string, R extends Rpc.Any, S, RX>(
  definition: Agent<N, R, S>,
  handlers: Handlers<R, S, RX>
): Effect.Effect<HostedAgent, never, RX | Rpc.Context<R>> =>
  Effect.map(Effect.runtime<RX | Rpc.Context<R>>(), (runtime) => {
    const erased = definition as unknown as Agent<N, never, unknown>
    const fork = Runtime.runFork(runtime as Runtime.Runtime<never>)
    const {
      askTimeout,
      capabilities,
      durability,
      initial,
      mailbox,
      name,
      passivateAfter,
      state,
      supervision
    } = erased
    return {
      name,
      initial,
      capabilities,
      durability,
      mailbox,
      askTimeout,
      passivateAfter,
      supervision,
      state,
      message: definition.codec.message as unknown as HostedAgent["message"],
      handlers: handlers as unknown as HostedAgent["handlers"],
      fork: (effect, message) =>
        fork(effect, {
          updateRefs: (refs, fiberId) =>
            FiberRefs.updateAs(refs, { fiberId, fiberRef: currentMessage, value: message })
        })
    }
  })
