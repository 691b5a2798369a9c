/**
 * An operation handler executes all operations of one kind in a batch with as few statements as it can.
 */
import type * as Operation from "@holdfast/agents/Operation"
import type * as Either from "effect/Either"
import type { AgentRows } from "./AgentRows.ts"
import type { QueueRows } from "./QueueRows.ts"
import type { SqlPlan } from "./SqlPlan.ts"

/** What a batch is executed in. */
export interface BatchContext {
  /** The node that writes. */
  readonly node: string
  readonly queues: QueueRows
  readonly agents: AgentRows
}

/** The answer to one operation: its result, or the refusal that left no trace of it. */
export type Answer<O> = Either.Either<Operation.Result<O>, Operation.Refusal<O>>

/** Executes operations of one kind, in order, and answers each. */
export type OperationHandler<O extends Operation.Any> = (
  operations: ReadonlyArray<O>,
  context: BatchContext
) => SqlPlan<ReadonlyArray<Answer<O>>>

/** The handlers of a union of operations, by tag. */
export type OperationHandlers<O extends Operation.Any> = {
  readonly [Tag in O["_tag"]]: OperationHandler<Extract<O, { readonly _tag: Tag }>>
}
