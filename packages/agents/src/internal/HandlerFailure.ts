/**
 * A handler failure is what a handler's own Rpc fails with: known to whoever asks and whoever handles, erased in between.
 */
import type { AgentError } from "../AgentError.ts"

/** Carries the type; no value of it is looked at between the two. */
declare const TypeId: unique symbol

/** Is such a failure. */
export interface HandlerFailure {
  readonly [TypeId]: never
}

/** Is how a message fails. */
export type Failure = HandlerFailure | AgentError
