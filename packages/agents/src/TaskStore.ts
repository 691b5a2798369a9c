/**
 * The task store reads queues and tasks; every write goes through the commit log.
 */
import type { StorageError } from "@holdfast/core/StorageError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { Queue } from "./Queue.ts"
import type { Task, TaskStatus } from "./Task.ts"

/** Which tasks to list, in enqueue order. */
export interface TaskQuery {
  readonly queue?: string
  readonly status?: TaskStatus
  /** Only tasks enqueued at or after this time. */
  readonly sinceMillis?: number
  /** Only tasks behind this sequence: the last one of the page before. */
  readonly after?: number
  /** At most this many. */
  readonly limit: number
}

/** Reads queues and tasks. What a commit has acknowledged is seen by every later read of the same process. */
export class TaskStore extends Context.Tag("@holdfast/agents/TaskStore")<TaskStore, {
  /** The queue, or `none` when nobody has enqueued to it or set it. */
  readonly queue: (name: string) => Effect.Effect<Option.Option<Queue>, StorageError>
  /** Every queue, by name. */
  readonly queues: Effect.Effect<ReadonlyArray<Queue>, StorageError>
  /** One task by its id. */
  readonly task: (queue: string, id: string) => Effect.Effect<Option.Option<Task>, StorageError>
  /** Tasks in enqueue order. */
  readonly tasks: (query: TaskQuery) => Effect.Effect<ReadonlyArray<Task>, StorageError>
  /** Finished tasks of a queue in the order they finished, behind `after` (a `finishSequence`; 0 for all). */
  readonly finished: (
    queue: string,
    after: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<Task>, StorageError>
  /** Completes when a commit of this process may have given the queue something to claim: a hint, never relied on. */
  readonly changed: (queue: string) => Effect.Effect<void>
}>() {}
