/**
 * A scheduler runs effects when they are due: all its timers are in one heap and wait in one fiber, each run has a fiber
 * of its own, and no run that fails or dies ends the scheduler.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Durable from "./internal/DurableSchedule.ts"
import * as Scheduling from "./internal/Scheduling.ts"
import type { RecordStore } from "./RecordStore.ts"
import type {
  DuplicateSchedule,
  ScheduleInfo,
  ScheduleNotFound,
  ScheduleRun,
  ScheduleSpec,
  TriggerResult
} from "./ScheduleSpec.ts"
import type { StorageError } from "./StorageError.ts"
import type { TimingOutOfRange } from "./Timing.ts"

/** How a scheduler works. */
export interface Options {
  /** How many ended runs a schedule's history holds, from 0 to 1,000. Default: 32. */
  readonly historyMax?: number
  /**
   * How long it sleeps at the most before it looks at the wall clock again, from 1 millisecond to 1 day: a clock that is
   * set is noticed so much later at the latest. Default: 1 minute.
   */
  readonly lookEvery?: Duration.DurationInput
}

/** How much a scheduler has in hand. All are 0 when nothing is scheduled. */
export interface Counts {
  readonly schedules: number
  readonly timers: number
  /** Fibers that run, or that claim a time of a durable schedule. */
  readonly fibers: number
}

/** Schedules effects. See `make` and `layer`. */
export class Scheduler extends Context.Tag("@holdfast/core/Scheduler")<Scheduler, {
  /**
   * Schedules an effect for as long as the scope is open: when it closes, the timer is gone and the run is interrupted.
   * A one-shot is forgotten, with its history, when its run has ended.
   */
  readonly schedule: <A, E, R>(
    spec: ScheduleSpec<A, E, R>
  ) => Effect.Effect<void, DuplicateSchedule | TimingOutOfRange, Scope.Scope | Exclude<R, Scope.Scope>>
  /**
   * Schedules an effect under an id that is kept in the record store: after a restart it goes on where it was, what was due
   * meanwhile is missed, and of the processes that have it one runs each time. A run is not repeated when its process dies.
   * It always follows the wall clock. Times are claimed with one read and one write each; while storage fails they wait.
   */
  readonly scheduleDurable: <A, E, R>(
    spec: ScheduleSpec<A, E, R>
  ) => Effect.Effect<
    void,
    DuplicateSchedule | TimingOutOfRange | StorageError,
    RecordStore | Scope.Scope | Exclude<R, Scope.Scope>
  >
  /** Stops the timer; a run goes on. In this process only: `ScheduleStore.pause` pauses a durable one everywhere. */
  readonly pause: (id: string) => Effect.Effect<void, ScheduleNotFound>
  /** Starts the timer again. What fell due while it was paused does not run. */
  readonly resume: (id: string) => Effect.Effect<void, ScheduleNotFound>
  /** Runs it now, paused or not, within its overlap policy, and does not wait for it. The timer stays as it is. */
  readonly trigger: (id: string) => Effect.Effect<TriggerResult, ScheduleNotFound>
  /** Ends it as if its owner's scope had closed, and waits until its run has stopped, unless that run is the caller. */
  readonly cancel: (id: string) => Effect.Effect<void, ScheduleNotFound>
  /** Lists the next times due, at most `count` and at most 1,000, in milliseconds since the epoch, without jitter. */
  readonly next: (id: string, count: number) => Effect.Effect<ReadonlyArray<number>, ScheduleNotFound>
  /** Lists the last runs that ended, the oldest first. */
  readonly history: (id: string) => Effect.Effect<ReadonlyArray<ScheduleRun>, ScheduleNotFound>
  /** Lists all schedules in the order in which they were scheduled. */
  readonly list: Effect.Effect<ReadonlyArray<ScheduleInfo>>
  readonly counts: Effect.Effect<Counts>
}>() {}

/** The values of options left out. */
export const defaults = { historyMax: 32, lookEvery: Duration.minutes(1) }

/**
 * Makes a scheduler that works while the scope is open. Options out of range are a defect.
 *
 * Timings that count the time that passes (`after`, `every` without `startAt`) are moved along when the wall clock is set.
 * The others follow it: what it is set forward over is missed, and what it is set back over does not run again.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Scheduler from "@holdfast/core/Scheduler"
 * import * as Timing from "@holdfast/core/Timing"
 *
 * declare const report: Effect.Effect<void>
 *
 * const program = Effect.gen(function*() {
 *   const scheduler = yield* Scheduler.Scheduler
 *   const timing = yield* Timing.cron("0 7 * * mon-fri", "Europe/Berlin")
 *   yield* scheduler.schedule({ id: "report", timing, run: report, missed: "runOnce" })
 *   yield* Effect.never
 * }).pipe(Effect.scoped, Effect.provide(Scheduler.layer))
 */
export const make = (options: Options = {}): Effect.Effect<Scheduler["Type"], never, Scope.Scope> =>
  Effect.map(
    Effect.suspend(() =>
      Scheduling.start(
        whole("historyMax", options.historyMax ?? defaults.historyMax, 0, 1_000),
        whole("lookEvery", Duration.toMillis(options.lookEvery ?? defaults.lookEvery), 1, 86_400_000)
      )
    ),
    (state) => ({
      schedule: (spec) => Scheduling.schedule(state, spec),
      scheduleDurable: (spec) => Durable.schedule(state, spec),
      pause: (id) => Scheduling.pause(state, id),
      resume: (id) => Scheduling.resume(state, id),
      trigger: (id) => Scheduling.trigger(state, id),
      cancel: (id) => Scheduling.cancel(state, id),
      next: (id, count) => Scheduling.next(state, id, count),
      history: (id) => Scheduling.history(state, id),
      list: Scheduling.list(state),
      counts: Scheduling.counts(state)
    })
  )

/** A scheduler with options. */
export const layerWith = (options: Options): Layer.Layer<Scheduler> => Layer.scoped(Scheduler, make(options))

/** A scheduler. */
export const layer: Layer.Layer<Scheduler> = layerWith({})

// internal

const whole = (option: string, value: number, minimum: number, maximum: number): number => {
  if (Number.isInteger(value) && value >= minimum && value <= maximum) return value
  throw new Error(
    `Scheduler: ${option} must be a whole number from ${minimum} to ${maximum}, not ${value}`
  )
}
