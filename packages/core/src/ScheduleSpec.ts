/**
 * A schedule spec is what is to run when; a schedule's info and the runs in its history are what came of it.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { MissedPolicy } from "./Timetable.ts"
import type { Timing } from "./Timing.ts"

/**
 * What follows when a run is due while one still runs.
 *
 * `skip`: it does not run. `queue`: it runs afterwards; at most `queueMax` wait, more are skipped. `cancelPrevious`: what
 * runs is interrupted, what waits is dropped, and it starts once the interrupted run has released what it held.
 */
export type OverlapPolicy = "skip" | "queue" | "cancelPrevious"

/** Is what a scheduler is given. */
export interface ScheduleSpec<A, E, R> {
  /** Not empty; one schedule of a scheduler has it. */
  readonly id: string
  readonly timing: Timing
  /** One run. A `Scope` it needs is the run's own. */
  readonly run: Effect.Effect<A, E, R>
  /** Default: `skip`. */
  readonly overlap?: OverlapPolicy
  /** How many runs may wait under `queue`, from 1 to `queueMaxMax`. Default: 1. */
  readonly queueMax?: number
  /** Default: `skip`. Runs that `runAll` makes up for wait in line, whatever `overlap` says of later ones. */
  readonly missed?: MissedPolicy
  /**
   * Starts each run up to so much later, at random; the timetable stays as it is. Shorter than the interval of `every`.
   * With cron keep it shorter than the time between runs: one overtaken by the next counts as missed. Default: none.
   */
  readonly jitter?: Duration.DurationInput
}

/** How a run ended. A cause with a defect beside a failure counts as a defect, a failure beside an interruption as a failure. */
export type RunOutcome =
  | { readonly _tag: "Succeeded" }
  | { readonly _tag: "Failed"; readonly error: unknown }
  | { readonly _tag: "Died"; readonly defect: unknown }
  | { readonly _tag: "Interrupted" }

/** Is one run that has ended. Times are milliseconds since the epoch. */
export interface ScheduleRun {
  /** When it was due; when it was triggered, if it was. */
  readonly dueAtMillis: number
  readonly startedAtMillis: number
  readonly endedAtMillis: number
  readonly outcome: RunOutcome
}

/** What a scheduler shows of a schedule. */
export interface ScheduleInfo {
  readonly id: string
  /** The timing as text. */
  readonly timing: string
  readonly isPaused: boolean
  readonly isRunning: boolean
  /** How many runs wait for the one that runs. */
  readonly waiting: number
  /** How many runs have started. */
  readonly runs: number
  /** How many did not run because of `overlap`. */
  readonly skipped: number
  /** How many were missed, those included that ran late. */
  readonly missed: number
}

/** What came of asking for a run. */
export type TriggerResult = "started" | "queued" | "skipped"

/** The most runs that may be let wait under `queue`: 1,000. */
export const queueMaxMax = 1_000

/** A schedule of this scheduler has the id already. Cancel it first, or choose another id. */
export class DuplicateSchedule
  extends Schema.TaggedError<DuplicateSchedule>("@holdfast/core/DuplicateSchedule")("DuplicateSchedule", {
    id: Schema.String
  })
{
  override get message(): string {
    return `there is a schedule "${this.id}" already`
  }
}

/** No schedule of this scheduler has the id: it never had one, or it was cancelled, has ended or lost its owner. */
export class ScheduleNotFound
  extends Schema.TaggedError<ScheduleNotFound>("@holdfast/core/ScheduleNotFound")("ScheduleNotFound", {
    id: Schema.String
  })
{
  override get message(): string {
    return `there is no schedule "${this.id}"`
  }
}
