/**
 * A schedule entry is a schedule at work: its timetable, its timer, its line of runs and what came of them.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { queueMaxMax } from "../ScheduleSpec.ts"
import type {
  OverlapPolicy,
  RunOutcome,
  ScheduleInfo,
  ScheduleRun,
  ScheduleSpec,
  TriggerResult
} from "../ScheduleSpec.ts"
import type { MissedPolicy, Timetable } from "../Timetable.ts"
import { missedRunsMax } from "../Timetable.ts"
import type { Timing, TimingOutOfRange } from "../Timing.ts"
import { format, jitterMillis } from "../Timing.ts"
import type * as TimerHeap from "./TimerHeap.ts"

/** A run that has a fiber. */
export interface Running {
  readonly dueAtMillis: number
  fiber: Fiber.RuntimeFiber<void> | undefined
  isCancelled: boolean
}

/** What of a spec is checked. */
export interface Settings {
  readonly id: string
  readonly timing: Timing
  readonly overlap: OverlapPolicy
  readonly queueMax: number
  readonly missed: MissedPolicy
  readonly jitterMillis: number
}

export interface ScheduleEntry extends Settings, TimerHeap.Timer {
  readonly run: Outcomes
  /** The scope it ends with. */
  readonly owner: Scope.Scope
  /** Claims what is due, where a store decides about it. */
  readonly claim: ((entry: ScheduleEntry) => Effect.Effect<void>) | undefined
  /** Whether it is moved along when the wall clock is set. */
  readonly isElapsed: boolean
  /** At the most a run and a claim. */
  fibers: ReadonlyArray<Fiber.RuntimeFiber<void>>
  /** Runs that wait, by when they were due. Bounded by `missedRunsMax` and by `queueMax`. */
  line: ReadonlyArray<number>
  history: ReadonlyArray<ScheduleRun>
  timetable: Timetable
  handledMillis: number
  running: Running | undefined
  isPaused: boolean
  /** Nothing will be due any more. */
  isOver: boolean
  /** Cancelled, over with nothing running, or without its owner. */
  hasEnded: boolean
  runs: number
  skipped: number
  missedCount: number
}

/** Checks a spec; an id or a `queueMax` out of range is a defect. */
export const settingsOf = <A, E, R>(
  spec: ScheduleSpec<A, E, R>
): Either.Either<Settings, TimingOutOfRange> => {
  const { id, missed = "skip", overlap = "skip", queueMax = 1, timing } = spec
  if (id === "") throw new Error("The id of a schedule is empty")
  if (!Number.isInteger(queueMax) || queueMax < 1 || queueMax > queueMaxMax) {
    throw new Error(
      `Schedule "${id}": queueMax must be a whole number from 1 to ${queueMaxMax}, not ${queueMax}`
    )
  }
  return Either.map(
    jitterMillis(timing, spec.jitter),
    (jitterMillis) => ({ id, timing, overlap, queueMax, missed, jitterMillis })
  )
}

/** One run, and how it ended. */
export type Outcomes = Effect.Effect<RunOutcome>

/** What is given for an entry. */
export type Given = Pick<
  ScheduleEntry,
  "run" | "owner" | "claim" | "isElapsed" | "timetable" | "handledMillis"
>

/** Written out, and with what is empty shared: there may be a hundred thousand of them. */
export const make = (settings: Settings, given: Given): ScheduleEntry => ({
  id: settings.id,
  timing: settings.timing,
  overlap: settings.overlap,
  queueMax: settings.queueMax,
  missed: settings.missed,
  jitterMillis: settings.jitterMillis,
  run: given.run,
  owner: given.owner,
  claim: given.claim,
  isElapsed: given.isElapsed,
  timetable: given.timetable,
  handledMillis: given.handledMillis,
  dueMillis: 0,
  order: 0,
  index: -1,
  fibers: none,
  line: none,
  history: none,
  running: undefined,
  isPaused: false,
  isOver: false,
  hasEnded: false,
  runs: 0,
  skipped: 0,
  missedCount: 0
})

/** Makes one run of an effect, in the context of its owner and in a scope of its own, and tells how it ended. */
export const runOf = <A, E, R>(
  run: Effect.Effect<A, E, R>,
  context: Context.Context<Exclude<R, Scope.Scope>>
): Effect.Effect<RunOutcome> =>
  Effect.suspend(() =>
    Effect.flatMap(Scope.make(), (scope) => {
      const closing = Effect.onExit(run, (exit) => Scope.close(scope, exit))
      const provided = Effect.provide(closing, Context.add(context, Scope.Scope, scope) as Context.Context<R>)
      return Effect.map(Effect.exit(Effect.interruptible(provided)), outcomeOf)
    })
  )

/** Takes a time due into the line, as the overlap policy has it. */
export const admit = (entry: ScheduleEntry, dueAtMillis: number): TriggerResult => {
  const isBusy = entry.running !== undefined || entry.line.length > 0
  if (isBusy && entry.overlap === "cancelPrevious") {
    cancelRun(entry.running)
    entry.skipped += entry.line.length
    entry.line = none
  } else if (isBusy && (entry.overlap === "skip" || entry.line.length >= entry.queueMax)) {
    entry.skipped += 1
    return "skipped"
  }
  entry.line = [...entry.line, dueAtMillis]
  return isBusy && entry.overlap === "queue" ? "queued" : "started"
}

/** Takes times that were missed into the line, whatever else runs. */
export const admitMissed = (entry: ScheduleEntry, due: ReadonlyArray<number>): void => {
  const admitted = due.slice(0, Math.max(0, missedRunsMax + 1 - entry.line.length))
  entry.line = [...entry.line, ...admitted]
  entry.skipped += due.length - admitted.length
}

export const remember = (entry: ScheduleEntry, run: ScheduleRun, historyMax: number): void => {
  const kept = historyMax > entry.history.length ? entry.history : entry.history.slice(1)
  entry.history = historyMax === 0 ? none : [...kept, run]
}

export const infoOf = (entry: ScheduleEntry): ScheduleInfo => ({
  id: entry.id,
  timing: format(entry.timing),
  isPaused: entry.isPaused,
  isRunning: entry.running !== undefined,
  waiting: entry.line.length,
  runs: entry.runs,
  skipped: entry.skipped,
  missed: entry.missedCount
})

// internal

const none: ReadonlyArray<never> = []

const cancelRun = (running: Running | undefined): void => {
  if (running === undefined) return
  running.isCancelled = true
  running.fiber?.unsafeInterruptAsFork(FiberId.none)
}

const outcomeOf = <A, E>(exit: Exit.Exit<A, E>): RunOutcome =>
  Exit.match(exit, {
    onSuccess: () => ({ _tag: "Succeeded" }),
    onFailure: (cause) =>
      Option.match(Cause.dieOption(cause), {
        onSome: (defect) => ({ _tag: "Died", defect }),
        onNone: () =>
          Option.match(Cause.failureOption(cause), {
            onSome: (error) => ({ _tag: "Failed", error }),
            onNone: () => ({ _tag: "Interrupted" })
          })
      })
  })
