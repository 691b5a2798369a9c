/**
 * Scheduling is the work of a scheduler: one fiber sleeps until the first timer in the heap is due and then starts what
 * is due.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import type { Counts } from "../Scheduler.ts"
import type { ScheduleInfo, ScheduleRun, ScheduleSpec, TriggerResult } from "../ScheduleSpec.ts"
import { DuplicateSchedule, ScheduleNotFound } from "../ScheduleSpec.ts"
import * as Timetable from "../Timetable.ts"
import type { TimingOutOfRange } from "../Timing.ts"
import { monotonicMillis } from "./monotonicMillis.ts"
import type { ScheduleEntry } from "./ScheduleEntry.ts"
import * as Entry from "./ScheduleEntry.ts"
import * as Owner from "./ScheduleOwner.ts"
import * as TimerHeap from "./TimerHeap.ts"

export interface State {
  readonly clock: Clock.Clock
  readonly historyMax: number
  readonly lookEveryMillis: number
  /** Bounded by the program: one entry for each schedule call whose owner is still there. */
  readonly entries: Map<string, ScheduleEntry>
  /** The entries that end with a scope. Bounded by the scopes that are open. */
  readonly owned: Map<Scope.Scope, Set<ScheduleEntry>>
  readonly heap: TimerHeap.TimerHeap<ScheduleEntry>
  readonly fibers: FiberSet.FiberSet<void>
  /** Opened when a timer comes in that is due before the fiber would wake. */
  readonly wake: Effect.Latch
  wakesAtMillis: number
  hasEnded: boolean
  /** The wall clock less the monotonic one, when they were last read. */
  offsetMillis: number
}

/** Starts a scheduler in the scope. When it closes, all entries end with it. */
export const start = (
  historyMax: number,
  lookEveryMillis: number
): Effect.Effect<State, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const state: State = {
      clock,
      historyMax,
      lookEveryMillis,
      entries: new Map(),
      owned: new Map(),
      heap: TimerHeap.make(),
      fibers: yield* FiberSet.make<void>(),
      wake: Effect.unsafeMakeLatch(),
      wakesAtMillis: Infinity,
      hasEnded: false,
      offsetMillis: offsetOf(clock, clock.unsafeCurrentTimeMillis())
    }
    yield* Effect.forkScoped(Effect.forever(turn(state)))
    yield* Effect.addFinalizer(() => endAll(state))
    return state
  })

export const schedule = <A, E, R>(
  state: State,
  spec: ScheduleSpec<A, E, R>
): Effect.Effect<void, DuplicateSchedule | TimingOutOfRange, Scope.Scope | Exclude<R, Scope.Scope>> =>
  Effect.flatMap(Entry.settingsOf(spec), (settings) =>
    register(state, spec, settings, () => {
      const now = nowMillis(state)
      const timetable = Timetable.fromTiming(settings.timing, now)
      return {
        timetable,
        handledMillis: Timetable.handledAtStart(timetable, now),
        isElapsed: Timetable.isElapsed(settings.timing),
        claim: undefined
      }
    }))

/** Puts an entry in that ends with its owner's scope. */
export const register = <A, E, R>(
  state: State,
  spec: ScheduleSpec<A, E, R>,
  settings: Entry.Settings,
  given: () => Omit<Entry.Given, "run" | "owner">
): Effect.Effect<void, DuplicateSchedule, Scope.Scope | Exclude<R, Scope.Scope>> =>
  Effect.uninterruptible(
    Effect.contextWithEffect((context: Context.Context<Scope.Scope | Exclude<R, Scope.Scope>>) => {
      if (state.hasEnded) return Effect.interrupt
      if (state.entries.has(settings.id)) return new DuplicateSchedule({ id: settings.id })
      const owner = Context.unsafeGet(context, Scope.Scope)
      const entry = Entry.make(settings, { ...given(), run: Entry.runOf(spec.run, context), owner })
      state.entries.set(entry.id, entry)
      return Effect.zipRight(Owner.own(state, entry), arm(state, entry))
    })
  )

export const pause = (state: State, id: string): Effect.Effect<void, ScheduleNotFound> =>
  withEntry(state, id, (entry) => {
    entry.isPaused = true
    TimerHeap.remove(state.heap, entry)
    return Effect.void
  })

export const resume = (state: State, id: string): Effect.Effect<void, ScheduleNotFound> =>
  withEntry(state, id, (entry) => {
    if (!entry.isPaused) return Effect.void
    entry.isPaused = false
    entry.handledMillis = Math.max(entry.handledMillis, nowMillis(state))
    return Effect.uninterruptible(arm(state, entry))
  })

export const trigger = (state: State, id: string): Effect.Effect<TriggerResult, ScheduleNotFound> =>
  withEntry(state, id, (entry) => {
    const result = Entry.admit(entry, nowMillis(state))
    return Effect.as(Effect.uninterruptible(proceed(state, entry)), result)
  })

export const cancel = (state: State, id: string): Effect.Effect<void, ScheduleNotFound> =>
  withEntry(state, id, (entry) => Owner.end(state, entry))

export const next = (
  state: State,
  id: string,
  count: number
): Effect.Effect<ReadonlyArray<number>, ScheduleNotFound> =>
  withEntry(state, id, (entry) => {
    const after = Math.max(entry.handledMillis, nowMillis(state) - 1)
    return Effect.succeed(Timetable.upcoming(entry.timetable, after, Math.min(count, nextMax)))
  })

const nextMax = 1_000

export const history = (
  state: State,
  id: string
): Effect.Effect<ReadonlyArray<ScheduleRun>, ScheduleNotFound> =>
  withEntry(state, id, (entry) => Effect.succeed(entry.history))

export const list = (state: State): Effect.Effect<ReadonlyArray<ScheduleInfo>> =>
  Effect.sync(() => Array.from(state.entries.values(), Entry.infoOf))

export const counts = (state: State): Effect.Effect<Counts> =>
  Effect.map(FiberSet.size(state.fibers), (fibers) => ({
    schedules: state.entries.size,
    timers: TimerHeap.size(state.heap),
    fibers
  }))

/**
 * Reads the wall clock, and moves what counts elapsed time along if it was set.
 *
 * **Source** ntpd steps a clock that is more than 128 ms off; by less it is adjusted gradually, and followed here.
 */
export const nowMillis = (state: State): number => {
  const now = state.clock.unsafeCurrentTimeMillis()
  const offsetMillis = offsetOf(state.clock, now)
  const jumpMillis = offsetMillis - state.offsetMillis
  state.offsetMillis = offsetMillis
  if (Math.abs(jumpMillis) >= jumpMillisMin) shiftElapsed(state, jumpMillis)
  return now
}

const jumpMillisMin = 100

/** Sets the timer of an entry to the first time that is not handled: at once, but for the jitter and the end. */
export const arm = (state: State, entry: ScheduleEntry): Effect.Effect<void> => {
  const due = Timetable.nextAfter(entry.timetable, entry.handledMillis)
  if (due === undefined) {
    entry.isOver = true
    return proceed(state, entry)
  }
  if (entry.jitterMillis > 0) {
    return Effect.map(
      Random.nextIntBetween(0, entry.jitterMillis + 1),
      (jitter) => setTimer(state, entry, due + jitter)
    )
  }
  setTimer(state, entry, due)
  return Effect.void
}

/** Sets the timer of an entry, unless it has ended or is paused. */
export const setTimer = (state: State, entry: ScheduleEntry, dueMillis: number): void => {
  if (entry.hasEnded || entry.isPaused) return
  TimerHeap.set(state.heap, entry, dueMillis)
  if (dueMillis < state.wakesAtMillis) state.wake.unsafeOpen()
}

/** Takes what is due of an entry into its line. */
export const take = (entry: ScheduleEntry, decision: Timetable.Decision): void => {
  entry.handledMillis = decision.handledMillis
  entry.missedCount += decision.missed
  if (entry.missed === "runAll" && decision.missed > 0) Entry.admitMissed(entry, decision.runs)
  else for (const due of decision.runs) Entry.admit(entry, due)
}

/** Starts the next run in an entry's line if none runs; ends the entry if it is over. */
export const proceed = (state: State, entry: ScheduleEntry): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (entry.hasEnded || entry.running !== undefined) return Effect.void
    const [dueAtMillis, ...later] = entry.line
    if (dueAtMillis === undefined) return entry.isOver ? Owner.end(state, entry) : Effect.void
    entry.line = later
    const running: Entry.Running = { dueAtMillis, fiber: undefined, isCancelled: false }
    entry.running = running
    return Owner.fork(state, entry, execute(state, entry, running))
  })

// internal

const offsetOf = (clock: Clock.Clock, wallMillis: number): number =>
  wallMillis - Math.round(monotonicMillis(clock))

const withEntry = <A>(
  state: State,
  id: string,
  use: (entry: ScheduleEntry) => Effect.Effect<A>
): Effect.Effect<A, ScheduleNotFound> =>
  Effect.suspend((): Effect.Effect<A, ScheduleNotFound> => {
    const entry = state.entries.get(id)
    return entry === undefined ? new ScheduleNotFound({ id }) : use(entry)
  })

/** Starts what is due, then sleeps until a timer is due, one comes in that is due before, or it is time to look again. */
const turn = (state: State): Effect.Effect<void> =>
  Effect.zipRight(
    Effect.uninterruptible(startDue(state)),
    Effect.suspend(() => {
      const now = nowMillis(state)
      const due = TimerHeap.peek(state.heap)?.dueMillis ?? Infinity
      if (due <= now) return Effect.void
      state.wake.unsafeClose()
      state.wakesAtMillis = due
      return due === Infinity ? state.wake.await : sleep(state, Math.min(due - now, state.lookEveryMillis))
    })
  )

// The sleeper is a child of the scheduler's fiber and ends with it.
const sleep = (state: State, millis: number): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.fork(Effect.zipRight(Effect.sleep(millis), state.wake.open)),
    (sleeper) => Effect.zipRight(state.wake.await, Fiber.interrupt(sleeper))
  )

const startDue = (state: State): Effect.Effect<void> =>
  Effect.suspend(() => {
    const now = nowMillis(state)
    const entry = TimerHeap.peek(state.heap)
    if (entry === undefined || entry.dueMillis > now) return Effect.void
    TimerHeap.remove(state.heap, entry)
    return Effect.zipRight(startEntry(state, entry, now), startDue(state))
  })

const startEntry = (state: State, entry: ScheduleEntry, now: number): Effect.Effect<void> => {
  if (entry.claim !== undefined) return Owner.fork(state, entry, entry.claim(entry))
  const { handledMillis, jitterMillis, missed, timetable } = entry
  take(entry, Timetable.decide(timetable, missed, handledMillis, now, jitterMillis))
  return Effect.zipRight(arm(state, entry), proceed(state, entry))
}

const execute = (state: State, entry: ScheduleEntry, running: Entry.Running): Effect.Effect<void> =>
  Effect.withFiberRuntime<void>((fiber) => {
    running.fiber = fiber
    const startedAtMillis = nowMillis(state)
    entry.runs += 1
    const { dueAtMillis } = running
    const run: Entry.Outcomes = running.isCancelled ? Effect.succeed({ _tag: "Interrupted" }) : entry.run
    return Effect.flatMap(run, (outcome) => {
      const ended = { dueAtMillis, startedAtMillis, endedAtMillis: nowMillis(state), outcome }
      Entry.remember(entry, ended, state.historyMax)
      entry.running = undefined
      return proceed(state, entry)
    })
  })

const shiftElapsed = (state: State, byMillis: number): void => {
  for (const entry of state.entries.values()) {
    if (!entry.isElapsed) continue
    entry.timetable = Timetable.shift(entry.timetable, byMillis)
    entry.handledMillis += byMillis
    if (entry.index >= 0) TimerHeap.set(state.heap, entry, entry.dueMillis + byMillis)
  }
  state.wake.unsafeOpen()
}

const endAll = (state: State): Effect.Effect<void> =>
  Effect.suspend(() => {
    state.hasEnded = true
    const entries = Array.from(state.entries.values())
    for (const entry of entries) Owner.detach(state, entry)
    return Effect.forEach(entries, (entry) => Owner.end(state, entry), { discard: true })
  })
