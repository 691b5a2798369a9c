/**
 * A task is one piece of work of a queue: a payload, an order, and how often it may be tried.
 */
import * as Schema from "effect/Schema"

/**
 * Where a task stands; it is in exactly one of these.
 *
 * `ready`: may be claimed, once its not-before time has come. `running`: claimed by a node. `completed`: its work
 * succeeded. `dead`: its last attempt failed (the dead letter). `skipped`: it was given up without running.
 */
export const TaskStatus = Schema.Literal("ready", "running", "completed", "dead", "skipped")
export type TaskStatus = typeof TaskStatus.Type

/** A task to be enqueued, with its payload already encoded. */
export interface NewTask {
  /** Unique within the queue: enqueueing an id again changes nothing. */
  readonly id: string
  /** Smaller runs first; any integer. */
  readonly priority: number
  /** Not claimed before this time, in milliseconds since 1970. */
  readonly notBeforeMillis: number
  /** How many attempts it has in all; at least 1. */
  readonly attemptsMax: number
  /** The encoded payload: JSON text. */
  readonly payload: string
}

/** A task as storage knows it. Times are milliseconds since 1970. */
export interface Task extends NewTask {
  readonly queue: string
  /** Its place in enqueue order, unique in the store. */
  readonly sequence: number
  readonly status: TaskStatus
  /** Attempts begun since it was enqueued or last retried by hand. */
  readonly attempt: number
  /** Raised by every claim and never lowered: an outcome is accepted only from the latest. */
  readonly activation: number
  /** The node that runs it, while it is running. */
  readonly node: string | null
  /** What came of its last attempt: a stored `TaskOutcome`. */
  readonly outcome: string | null
  readonly enqueuedAtMillis: number
  /** When its last attempt was claimed. */
  readonly startedAtMillis: number | null
  readonly finishedAtMillis: number | null
  /** Its place in the order in which tasks of its queue finished, from 1; tasks retried by hand get a new one. */
  readonly finishSequence: number | null
}

/** A claimed task: the node that holds it settles it with this activation. */
export interface ClaimedTask extends Task {
  readonly status: "running"
  readonly node: string
}

/** The order in which due tasks are claimed: priority, then not-before time, then enqueue order. */
export const claimOrder = (
  a: Pick<Task, "priority" | "notBeforeMillis" | "sequence">,
  b: Pick<Task, "priority" | "notBeforeMillis" | "sequence">
): -1 | 0 | 1 =>
  compare(a.priority, b.priority) || compare(a.notBeforeMillis, b.notBeforeMillis) ||
  compare(a.sequence, b.sequence)

const compare = (a: number, b: number): -1 | 0 | 1 => (a < b ? -1 : a > b ? 1 : 0)

/** Whether a task of this status has ended, until somebody retries it. */
export const isFinished = (status: TaskStatus): boolean =>
  status === "completed" || status === "dead" || status === "skipped"
