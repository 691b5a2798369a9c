/**
 * What a bulkhead decides, without time or effects: who gets a permit, who waits, who is refused, and what
 * it has counted.
 */

/** How many tasks may run at once, and how many calls may wait for a permit before others are refused. */
export interface Limits {
  readonly concurrency: number
  readonly queue: number
}

/**
 * What a bulkhead has counted since it was made.
 *
 *     submitted = rejected + expired + withdrawn + started + queued
 *     started   = completed + failed + died + interrupted + timedOut + active
 */
export interface Counts {
  /** Calls, whatever came of them. */
  readonly submitted: number
  /** Calls refused because the line was full. */
  readonly rejected: number
  /** Calls that waited in line for as long as they may. */
  readonly expired: number
  /** Calls interrupted in line. */
  readonly withdrawn: number
  /** Calls that got a permit. */
  readonly started: number
  /** Tasks that succeeded. */
  readonly completed: number
  /** Tasks that ended with a typed failure. */
  readonly failed: number
  /** Tasks that ended with a defect. */
  readonly died: number
  /** Tasks that were interrupted, or were about to begin when they were. */
  readonly interrupted: number
  /** Tasks that ran out of time. */
  readonly timedOut: number
  /** Permits held now. */
  readonly active: number
  /** Calls in line now. */
  readonly queued: number
}

/** How a task ended. */
export type Ending = "completed" | "failed" | "died" | "interrupted" | "timedOut"

/** Why a call left the line without a permit. */
export type Departure = "expired" | "withdrawn"

/** What can happen at a bulkhead. */
export type Event =
  | { readonly _tag: "Arrived"; readonly admission: Admission }
  | { readonly _tag: "Left"; readonly departure: Departure }
  | { readonly _tag: "Ended"; readonly ending: Ending }

/** What becomes of a call on arrival. */
export type Admission = "start" | "wait" | "reject"

/** A bulkhead that nobody has called. */
export const initial: Counts = {
  submitted: 0,
  rejected: 0,
  expired: 0,
  withdrawn: 0,
  started: 0,
  completed: 0,
  failed: 0,
  died: 0,
  interrupted: 0,
  timedOut: 0,
  active: 0,
  queued: 0
}

/** Says what becomes of a call that arrives now. While anybody is in line no permit is free: see `transition`. */
export const admission = (limits: Limits, counts: Counts): Admission => {
  if (counts.active < limits.concurrency) return "start"
  return counts.queued < limits.queue ? "wait" : "reject"
}

/** Leads from one count to the next. A permit that comes back goes straight to the first in line. */
export const transition = (counts: Counts, event: Event): Counts => {
  switch (event._tag) {
    case "Arrived":
      return arrive({ ...counts, submitted: counts.submitted + 1 }, event.admission)
    case "Left":
      return { ...counts, queued: counts.queued - 1, [event.departure]: counts[event.departure] + 1 }
    case "Ended":
      return handOver({ ...counts, [event.ending]: counts[event.ending] + 1 })
  }
}

// internal

const arrive = (counts: Counts, admission: Admission): Counts => {
  switch (admission) {
    case "start":
      return { ...counts, started: counts.started + 1, active: counts.active + 1 }
    case "wait":
      return { ...counts, queued: counts.queued + 1 }
    case "reject":
      return { ...counts, rejected: counts.rejected + 1 }
  }
}

const handOver = (counts: Counts): Counts =>
  counts.queued > 0
    ? { ...counts, queued: counts.queued - 1, started: counts.started + 1 }
    : { ...counts, active: counts.active - 1 }
