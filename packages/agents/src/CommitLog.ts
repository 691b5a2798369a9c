/**
 * The commit log is the one write port: everything durable goes through it as operations.
 */
import type { StorageError } from "@holdfast/core/StorageError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Operation from "./Operation.ts"

/**
 * This process was declared dead, or lost sight of its own commits; what it had claimed belongs to others now.
 *
 * The log joins again under a new id by itself. Remedy: drop what was in hand and claim anew.
 */
export class NodeFenced extends Schema.TaggedError<NodeFenced>()("NodeFenced", { node: Schema.String }) {
  override get message(): string {
    return `node ${this.node} was fenced: what it had claimed belongs to others now`
  }
}

/** An earlier operation of the lane could not be executed, so this one, which may build on it, was not tried. */
export class LaneFailed extends Schema.TaggedError<LaneFailed>()("LaneFailed", {
  lane: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `an earlier operation of lane ${this.lane} was rejected: ${this.detail}`
  }
}

/** The storage could not execute this operation, tried alone: it and the later ones of its lane have left no trace. */
export class OperationRejected extends Schema.TaggedError<OperationRejected>()("OperationRejected", {
  operation: Schema.String,
  lane: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.operation} of lane ${this.lane} was rejected: ${this.detail}`
  }
}

/** How any commit can fail, beside the refusals of its operations. */
export type CommitError = StorageError | NodeFenced | LaneFailed | OperationRejected

/**
 * The one write port.
 *
 * **Source** `durability.md`, rules 1-7.
 */
export class CommitLog extends Context.Tag("@holdfast/agents/CommitLog")<CommitLog, {
  /**
   * Writes the operations as one unit, all or nothing, and returns their results once they are durable.
   *
   * Units submitted at the same time share a transaction. Interrupting a unit that is not being written withdraws it;
   * one that is being written is waited for.
   */
  readonly commit: <const Ops extends ReadonlyArray<Operation.Any>>(
    operations: Ops
  ) => Effect.Effect<Operation.Results<Ops>, CommitError | Operation.Refusal<Ops[number]>>
  /** Completes when the process's present membership ends; what it claimed until then is no longer its own. */
  readonly fenced: Effect.Effect<NodeFenced>
}>() {}
