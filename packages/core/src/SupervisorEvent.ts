/**
 * A supervisor event says what happened to one child, or that the supervisor has ended. Times are in
 * milliseconds; `atMillis` is since the epoch. A `cause` is rendered for people, and empty where nothing went
 * wrong.
 */
import type { ExitClass, Verdict } from "./RestartDecision.ts"

/** The events a supervisor keeps for its subscribers, those yet to come included: the latest 256. */
export const eventsMax = 256

/** Says that a child has started for the first time. */
export interface ChildStarted {
  readonly _tag: "ChildStarted"
  readonly supervisor: string
  readonly child: string
  readonly atMillis: number
}

/** Says that a child ended by itself, how, and what was decided on it. */
export interface ChildExited {
  readonly _tag: "ChildExited"
  readonly supervisor: string
  readonly child: string
  readonly atMillis: number
  readonly exitClass: ExitClass
  readonly cause: string
  readonly decision: Verdict<never>["decision"]
  /** How long it ran since it started; 0 when it had not yet started. */
  readonly ranMillis: number
}

/** Says that a child has started again. */
export interface ChildRestarted {
  readonly _tag: "ChildRestarted"
  readonly supervisor: string
  readonly child: string
  readonly atMillis: number
  /** How often it was restarted since the supervisor started. */
  readonly restarts: number
  /** How long it was down: from the end of the last run until it started. */
  readonly downMillis: number
}

/** Says that the supervisor stopped a child, and how the child ended. */
export interface ChildStopped {
  readonly _tag: "ChildStopped"
  readonly supervisor: string
  readonly child: string
  readonly atMillis: number
  readonly exitClass: ExitClass
  readonly cause: string
  /** How long it took to stop. */
  readonly tookMillis: number
}

/**
 * Says that a child did not stop within its shutdown timeout and was left to end by itself, still
 * interrupted.
 */
export interface ChildAbandoned {
  readonly _tag: "ChildAbandoned"
  readonly supervisor: string
  readonly child: string
  readonly atMillis: number
  readonly timeoutMillis: number
}

/**
 * Says that a child needed one restart too many, upon which the supervisor stops, or the child is parked if its
 * own intensity says so.
 */
export interface IntensityExceeded {
  readonly _tag: "IntensityExceeded"
  readonly supervisor: string
  readonly child: string
  readonly atMillis: number
  /** The restarts made within the period, all that are allowed. */
  readonly restarts: number
  readonly periodMillis: number
}

/** Says that the supervisor has ended and stopped its children. Its last event. */
export interface SupervisorStopped {
  readonly _tag: "SupervisorStopped"
  readonly supervisor: string
  readonly atMillis: number
  readonly cause: string
}

/** Is one of the events of a supervisor's life. */
export type SupervisorEvent =
  | ChildStarted
  | ChildExited
  | ChildRestarted
  | ChildStopped
  | ChildAbandoned
  | IntensityExceeded
  | SupervisorStopped
