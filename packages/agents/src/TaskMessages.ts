/**
 * Task messages are what a task agent understands, and what it answers with.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as Schema from "effect/Schema"

/** Is a task to be enqueued. */
export interface NewTask<P> {
  readonly payload: P
  /** Makes the task unique: enqueueing the same id again changes nothing. Random by default. */
  readonly id?: string
  /** Smaller runs first; 0 by default. */
  readonly priority?: number
  /** How long to wait before it may run; 0 by default. */
  readonly delayMillis?: number
}

/** Says whether tasks are run, and how many wait. `limit` and `errorThreshold` are `null` where there is none. */
export const Status = Schema.Struct({
  status: Schema.Literal("active", "paused"),
  ready: Schema.Number,
  running: Schema.Number,
  limit: Schema.NullOr(Schema.Number),
  errorThreshold: Schema.NullOr(Schema.Number),
  /** Tasks that died since the last one that completed. */
  deadInRow: Schema.Number
})
export type Status = typeof Status.Type

/** Counts tasks exactly, as they are stored: of those the queue still holds, but for `finished`. */
export const Metrics = Schema.Struct({
  /** Their work succeeded. */
  processed: Schema.Number,
  /** Their last attempt failed. */
  failed: Schema.Number,
  /** Were given up without running. */
  skipped: Schema.Number,
  ready: Schema.Number,
  running: Schema.Number,
  /** How often a task has ended, ever: one that was retried by hand counts each time. */
  finished: Schema.Number
})
export type Metrics = typeof Metrics.Type

/** Are the messages of a task agent. */
export type Messages<P> =
  | Rpc.Rpc<"Enqueue", Schema.Schema<NewTask<P>, unknown>, typeof Schema.String>
  | Rpc.Rpc<"Status", typeof Schema.Void, typeof Status>
  | Rpc.Rpc<"Metrics", typeof Schema.Void, typeof Metrics>
  | Rpc.Rpc<"Pause">
  | Rpc.Rpc<"Resume">
  | Rpc.Rpc<"Work", typeof Schema.Void, typeof Schema.Boolean>

/** Makes the messages of task agents with that payload. */
export const make = <P, PI>(payload: Schema.Schema<P, PI>): ReadonlyArray<Messages<P>> => {
  const enqueue = Rpc.make("Enqueue", { payload: newTask(payload), success: Schema.String })
  return [enqueue, status, metrics, pause, resume, work]
}

// internal

const status = Rpc.make("Status", { success: Status })
const metrics = Rpc.make("Metrics", { success: Metrics })
const pause = Rpc.make("Pause")
const resume = Rpc.make("Resume")
const work = Rpc.make("Work", { success: Schema.Boolean })

const newTask = <P, PI>(payload: Schema.Schema<P, PI>): Schema.Schema<NewTask<P>, unknown> =>
  Schema.Struct({
    payload: payload as Schema.Schema<unknown>,
    id: Schema.optionalWith(Schema.NonEmptyString, { exact: true }),
    priority: Schema.optionalWith(Schema.Int, { exact: true }),
    delayMillis: Schema.optionalWith(Schema.NonNegativeInt, { exact: true })
  }) as unknown as Schema.Schema<NewTask<P>, unknown>
