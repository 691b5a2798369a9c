/**
 * The durable operations of queues and tasks, as plain data.
 */
import * as Schema from "effect/Schema"
import type { Operation } from "./Operation.ts"
import type { QueueSettings } from "./Queue.ts"
import type { ClaimedTask, NewTask } from "./Task.ts"

/** The queue's settings were changed by somebody else meanwhile. Remedy: read them again and decide anew. */
export class VersionConflict extends Schema.TaggedError<VersionConflict>()("VersionConflict", {
  queue: Schema.String,
  base: Schema.Number,
  current: Schema.Number
}) {
  override get message(): string {
    return `queue ${this.queue} is at version ${this.current}, not ${this.base}`
  }
}

/** The queue holds as many unfinished tasks as it may. Remedy: wait until some are done, or raise `sizeMax`. */
export class QueueFull extends Schema.TaggedError<QueueFull>()("QueueFull", {
  queue: Schema.String,
  unfinished: Schema.Number,
  sizeMax: Schema.Number
}) {
  override get message(): string {
    return `queue ${this.queue} holds ${this.unfinished} unfinished tasks of at most ${this.sizeMax}`
  }
}

/** The claim is not the latest of its task any more: the late outcome changed nothing. */
export class Superseded extends Schema.TaggedError<Superseded>()("Superseded", {
  queue: Schema.String,
  sequence: Schema.Number,
  activation: Schema.Number
}) {
  override get message(): string {
    return `claim ${this.activation} of task ${this.sequence} in queue ${this.queue} was superseded`
  }
}

/** Replaces a queue's settings, or creates the queue when `base` is 0; yields the new version. */
export interface PutQueue extends Operation<"PutQueue", { readonly version: number }, VersionConflict> {
  readonly queue: string
  readonly base: number
  readonly settings: QueueSettings
}

/** Adds tasks to a queue; those whose id it already has are left as they are. */
export interface EnqueueTasks
  extends Operation<"EnqueueTasks", { readonly enqueued: number; readonly duplicates: number }, QueueFull>
{
  readonly queue: string
  readonly tasks: ReadonlyArray<NewTask>
  readonly nowMillis: number
}

/** What a claim yields: the tasks, when the next one is due if none was, and how many tasks are unfinished. */
export interface Claimed {
  readonly tasks: ReadonlyArray<ClaimedTask>
  readonly nextDueMillis: number | null
  readonly unfinished: number
}

/** Claims due tasks of an open queue for this node, raising their attempt and activation. */
export interface ClaimTasks extends Operation<"ClaimTasks", Claimed, never> {
  readonly queue: string
  readonly limit: number
  readonly nowMillis: number
}

/**
 * What becomes of a claimed task.
 *
 * `Released` gives the attempt back: nobody counts it. `Retry` makes it ready again at a time. The others finish it.
 */
export type Settlement =
  | { readonly _tag: "Completed"; readonly outcome: string }
  | { readonly _tag: "Retry"; readonly outcome: string; readonly notBeforeMillis: number }
  | { readonly _tag: "Dead"; readonly outcome: string }
  | { readonly _tag: "Released" }

/** Records the outcome of a claim, if the claim is still the latest of its task. */
export interface SettleTask extends Operation<"SettleTask", void, Superseded> {
  readonly queue: string
  readonly sequence: number
  readonly activation: number
  readonly settlement: Settlement
  readonly nowMillis: number
}

/** Makes dead and skipped tasks ready again with all their attempts; yields how many. */
export interface RetryTasks extends Operation<"RetryTasks", number, never> {
  readonly queue: string
  /** The one task, or `null` for every one. */
  readonly id: string | null
  readonly limit: number
  readonly nowMillis: number
}

/** Gives up ready tasks without running them; yields how many. */
export interface SkipTasks extends Operation<"SkipTasks", number, never> {
  readonly queue: string
  readonly limit: number
  readonly nowMillis: number
}

/** Deletes tasks that are not running; yields how many. */
export interface PurgeTasks extends Operation<"PurgeTasks", number, never> {
  readonly queue: string
  readonly limit: number
}

/** Takes back what a dead node had claimed: tasks with attempts left are ready again, the others are dead. */
export interface ReleaseClaims extends Operation<"ReleaseClaims", number, never> {
  readonly node: string
  readonly limit: number
  readonly nowMillis: number
}

/** Every operation of queues and tasks. */
export type TaskOperation =
  | PutQueue
  | EnqueueTasks
  | ClaimTasks
  | SettleTask
  | RetryTasks
  | SkipTasks
  | PurgeTasks
  | ReleaseClaims

type Fields<O extends TaskOperation> = Omit<O, "_tag" | "lane" | symbol>

/** Makes a `PutQueue`. */
export const putQueue = (o: Fields<PutQueue>): PutQueue => ({
  _tag: "PutQueue",
  lane: `queue:${o.queue}`,
  ...o
})

/** Makes an `EnqueueTasks`. */
export const enqueueTasks = (o: Fields<EnqueueTasks>): EnqueueTasks => ({
  _tag: "EnqueueTasks",
  lane: `queue:${o.queue}`,
  ...o
})

/** Makes a `ClaimTasks`. Nothing builds on an unanswered claim, so claims have a lane of their own. */
export const claimTasks = (o: Fields<ClaimTasks>): ClaimTasks => ({
  _tag: "ClaimTasks",
  lane: `claims:${o.queue}`,
  ...o
})

/** Makes a `SettleTask`. Its lane is the task's: one bad outcome does not take another task's with it. */
export const settleTask = (o: Fields<SettleTask>): SettleTask => ({
  _tag: "SettleTask",
  lane: `task:${o.sequence}`,
  ...o
})

/** Makes a `RetryTasks`. */
export const retryTasks = (o: Fields<RetryTasks>): RetryTasks => ({
  _tag: "RetryTasks",
  lane: `queue:${o.queue}`,
  ...o
})

/** Makes a `SkipTasks`. */
export const skipTasks = (o: Fields<SkipTasks>): SkipTasks => ({
  _tag: "SkipTasks",
  lane: `queue:${o.queue}`,
  ...o
})

/** Makes a `PurgeTasks`. */
export const purgeTasks = (o: Fields<PurgeTasks>): PurgeTasks => ({
  _tag: "PurgeTasks",
  lane: `queue:${o.queue}`,
  ...o
})

/** Makes a `ReleaseClaims`. */
export const releaseClaims = (o: Fields<ReleaseClaims>): ReleaseClaims => ({
  _tag: "ReleaseClaims",
  lane: `node:${o.node}`,
  ...o
})
