/**
 * An agent protocol is the list of messages an agent understands, each an `Rpc` with one answer.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type * as RpcSchema from "@effect/rpc/RpcSchema"
import type * as Effect from "effect/Effect"
import type { AgentError } from "./AgentError.ts"

/** Is a message an agent can have, or names in the type why it cannot. */
export type Plain<C> = [Rpc.SuccessSchema<C>] extends [RpcSchema.Stream<infer _A, infer _E>]
  ? { readonly "a streaming Rpc is not supported by agents": Rpc.Tag<C> }
  : [Rpc.Middleware<C>] extends [never] ? unknown
  : { readonly "an Rpc with middleware is not supported by agents": Rpc.Tag<C> }

/** Is what of a definition says whom a message is for, and which there are. */
export interface Protocol<out R extends Rpc.Any> {
  readonly name: string
  readonly protocol: ReadonlyArray<R>
}

/** Is how a message is asked. */
export type Ask<C extends Rpc.Any> = (
  payload: Rpc.PayloadConstructor<C>,
  options?: AskOptions
) => Effect.Effect<Rpc.Success<C>, Rpc.Error<C> | AgentError, Rpc.Context<C>>

/** Are the options of one ask. */
export interface AskOptions {
  /** How long to wait for the answer, in milliseconds. The definition's `askTimeout` by default. */
  readonly timeoutMillis?: number
}

/** Asks one agent, by message. */
export type Client<R extends Rpc.Any> = { readonly [C in R as C["_tag"]]: Ask<C> }

/** Tells one agent, by message. In a handler: buffered, and delivered once what was told from is committed. */
export type Teller<R extends Rpc.Any, E = never> = {
  readonly [C in R as C["_tag"]]: (
    payload: Rpc.PayloadConstructor<C>
  ) => Effect.Effect<void, E, Rpc.Context<C>>
}
