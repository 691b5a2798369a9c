/**
 * A timetable is a timing fixed on the clock: pure decisions about which of its times are due, missed and next.
 */
import * as Cron from "effect/Cron"
import type { CronTiming, Timing } from "./Timing.ts"

/**
 * What follows when times were missed: because the process was held up or down, or the clock was set forward.
 *
 * `skip`: none of them runs. `runOnce`: one run stands for all of them. `runAll`: each runs, one after the other, the
 * first `missedRunsMax` of them. The last time due is not missed while it is less than `graceMillis` late.
 */
export type MissedPolicy = "skip" | "runOnce" | "runAll"

/** Times that are due at `firstMillis` and every `intervalMillis` from then on. */
export interface Grid {
  readonly _tag: "Grid"
  readonly firstMillis: number
  readonly intervalMillis: number
}

/** One time. */
export interface Once {
  readonly _tag: "Once"
  readonly atMillis: number
}

/** When a schedule is due, in milliseconds since the epoch. */
export type Timetable = Grid | Once | CronTiming

/** What is to be done about the times due. */
export interface Decision {
  /** The times to run, in order. */
  readonly runs: ReadonlyArray<number>
  /** How many times were missed, those included that run late. A cron expression counts up to `countMax`. */
  readonly missed: number
  /** The last time that is dealt with: whatever is due later is still to come. */
  readonly handledMillis: number
}

/** How late the last time due may run without being missed: 1 minute. **Source** Quartz: `misfireThreshold`. */
export const graceMillis = 60_000

/** How many missed times `runAll` runs: 1,000. */
export const missedRunsMax = 1_000

/** How far the times of a cron expression are counted: 10,000. */
export const countMax = 10_000

/** Fixes a timing on the clock, at the moment when it is scheduled. */
export const fromTiming = (timing: Timing, nowMillis: number): Timetable => {
  switch (timing._tag) {
    case "Every":
      return {
        _tag: "Grid",
        firstMillis: timing.startAtMillis ?? nowMillis + timing.intervalMillis,
        intervalMillis: timing.intervalMillis
      }
    case "Cron":
      return timing
    case "At":
      return { _tag: "Once", atMillis: timing.atMillis }
    case "After":
      return { _tag: "Once", atMillis: nowMillis + timing.delayMillis }
  }
}

/** Is whether a timing counts the time that passes, so that setting the wall clock does not move it. */
export const isElapsed = (timing: Timing): boolean =>
  timing._tag === "After" || (timing._tag === "Every" && timing.startAtMillis === undefined)

/** Moves a timetable along the clock, by what the clock was set forward or back. */
export const shift = (timetable: Timetable, byMillis: number): Timetable => {
  switch (timetable._tag) {
    case "Grid":
      return { ...timetable, firstMillis: timetable.firstMillis + byMillis }
    case "Once":
      return { ...timetable, atMillis: timetable.atMillis + byMillis }
    case "Cron":
      return timetable
  }
}

/**
 * Is the moment up to which a schedule made now has nothing to do: what was due earlier is no concern of it. An instant
 * that has passed is: it is late.
 */
export const handledAtStart = (timetable: Timetable, nowMillis: number): number =>
  timetable._tag === "Once" ? Math.min(nowMillis, timetable.atMillis) - 1 : nowMillis - 1

/**
 * Finds the first time due after an instant; `undefined` when there is none.
 *
 * @example
 * import * as Timetable from "@holdfast/core/Timetable"
 *
 * const timetable: Timetable.Timetable = { _tag: "Grid", firstMillis: 5, intervalMillis: 10 }
 * Timetable.nextAfter(timetable, 15) // 25
 */
export const nextAfter = (timetable: Timetable, millis: number): number | undefined => {
  switch (timetable._tag) {
    case "Grid": {
      const { firstMillis, intervalMillis } = timetable
      return firstMillis +
        Math.max(0, Math.floor((millis - firstMillis) / intervalMillis) + 1) * intervalMillis
    }
    case "Once":
      return millis < timetable.atMillis ? timetable.atMillis : undefined
    case "Cron":
      return nextOfCron(timetable, millis)
  }
}

/** Lists the first times due after an instant, at most `count`. */
export const upcoming = (timetable: Timetable, millis: number, count: number): ReadonlyArray<number> => {
  const times: Array<number> = []
  for (let due = nextAfter(timetable, millis); due !== undefined && times.length < count;) {
    times.push(due)
    due = nextAfter(timetable, due)
  }
  return times
}

/** Finds the last time due after one instant and not after another; `undefined` when there is none. */
export const lastBetween = (
  timetable: Timetable,
  afterMillis: number,
  untilMillis: number
): number | undefined => {
  const first = nextAfter(timetable, afterMillis)
  if (first === undefined || first > untilMillis) return undefined
  switch (timetable._tag) {
    case "Grid":
      return untilMillis - (untilMillis - first) % timetable.intervalMillis
    case "Once":
      return first
    case "Cron":
      return lastOfCron(timetable, first, untilMillis)
  }
}

/** Counts the times due after one instant and not after another. A cron expression counts up to `countMax`. */
export const countBetween = (timetable: Timetable, afterMillis: number, untilMillis: number): number => {
  const first = nextAfter(timetable, afterMillis)
  if (first === undefined || first > untilMillis) return 0
  switch (timetable._tag) {
    case "Grid":
      return Math.floor((untilMillis - first) / timetable.intervalMillis) + 1
    case "Once":
      return 1
    case "Cron": {
      let count = 0
      for (let due = first; due <= untilMillis && count < countMax; count++) due = nextOfCron(timetable, due)
      return count
    }
  }
}

/**
 * Decides about all times due after `handledMillis` and not after now: which run, and which were missed. `jitterMillis`
 * is how long a run may be held back; it is not late by that.
 */
export const decide = (
  timetable: Timetable,
  policy: MissedPolicy,
  handledMillis: number,
  nowMillis: number,
  jitterMillis = 0
): Decision => {
  const last = lastBetween(timetable, handledMillis, nowMillis)
  if (last === undefined) return { runs: [], missed: 0, handledMillis }
  const isLate = nowMillis - last > graceMillis + jitterMillis
  const missedUntil = isLate ? last : last - 1
  const missed = countBetween(timetable, handledMillis, missedUntil)
  const onTime = isLate ? [] : [last]
  switch (policy) {
    case "skip":
      return { runs: onTime, missed, handledMillis: last }
    case "runOnce":
      return { runs: [last], missed, handledMillis: last }
    case "runAll": {
      const runs = upcoming(timetable, handledMillis, Math.min(missed, missedRunsMax))
      return { runs: [...runs, ...onTime], missed, handledMillis: last }
    }
  }
}

// internal

const nextOfCron = ({ cron }: CronTiming, millis: number): number => Cron.next(cron, millis).getTime()

// The last time due is what comes next after the latest instant that still has a next one in time: found by halving.
const lastOfCron = (timing: CronTiming, firstMillis: number, untilMillis: number): number => {
  let due = firstMillis
  let tooLate = untilMillis
  while (tooLate - due > 1) {
    const middle = Math.floor((due + tooLate) / 2)
    const next = nextOfCron(timing, middle)
    if (next <= untilMillis) due = next
    else tooLate = middle
  }
  return due
}
