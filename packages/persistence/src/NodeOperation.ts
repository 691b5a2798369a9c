/**
 * The operations by which nodes take over from one another, and their execution.
 */
import type { Operation } from "@holdfast/agents/Operation"
import * as Either from "effect/Either"
import * as NodeRows from "./NodeRows.ts"
import type { OperationHandlers } from "./OperationHandler.ts"
import type { SqlPlan } from "./SqlPlan.ts"

/** Declares a membership dead; yields whether this did it. */
export interface MarkDead extends Operation<"MarkDead", boolean, never> {
  readonly node: string
  readonly epoch: string
}

/** Removes a dead node that holds nothing any more; yields whether it did. */
export interface RemoveDead extends Operation<"RemoveDead", boolean, never> {
  readonly node: string
}

/** Every operation on nodes. */
export type NodeOperation = MarkDead | RemoveDead

/** Makes a `MarkDead`. */
export const markDead = (node: string, epoch: string): MarkDead => ({
  _tag: "MarkDead",
  lane: `node:${node}`,
  node,
  epoch
})

/** Makes a `RemoveDead`. */
export const removeDead = (node: string): RemoveDead => ({ _tag: "RemoveDead", lane: `node:${node}`, node })

/** The handlers, in the order in which a batch executes them. */
export const handlers: OperationHandlers<NodeOperation> = {
  MarkDead: (ops) => each(ops, (op) => NodeRows.markDead(op.node, op.epoch)),
  RemoveDead: (ops) => each(ops, (op) => NodeRows.removeDead(op.node))
}

function* each<O>(
  ops: ReadonlyArray<O>,
  execute: (op: O) => SqlPlan<boolean>
): SqlPlan<ReadonlyArray<Either.Either<boolean>>> {
  const answers: Array<Either.Either<boolean>> = []
  for (const op of ops) answers.push(Either.right(yield* execute(op)))
  return answers
}
