/**
 * A schedule owner is the scope that a schedule ends with.
 */
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Scope from "effect/Scope"
import type { ScheduleEntry } from "./ScheduleEntry.ts"
import type { State } from "./Scheduling.ts"
import * as TimerHeap from "./TimerHeap.ts"

/**
 * Has an entry end with its owner. One finalizer stands for all timers of an owner, since one for each would cost more than
 * the timer; a fiber has its own.
 */
export const own = (state: State, entry: ScheduleEntry): Effect.Effect<void> => {
  const { owner } = entry
  const entries = state.owned.get(owner)
  if (entries !== undefined) {
    entries.add(entry)
    return Effect.void
  }
  state.owned.set(owner, new Set([entry]))
  return Scope.addFinalizer(owner, disown(state, owner))
}

/**
 * Forks a fiber that an entry waits for when it ends. It is not interruptible but where the effect says so. The entry ends
 * when its owner's scope closes before the fiber has ended, ahead of all that the owner had when the fiber began.
 */
export const fork = (
  state: State,
  entry: ScheduleEntry,
  effect: Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.asVoid(Effect.uninterruptible(FiberSet.run(
    state.fibers,
    Effect.withFiberRuntime<void>((fiber) =>
      Effect.flatMap(Scope.fork(entry.owner, ExecutionStrategy.sequential), (scope) => {
        let isDone = false
        const ended = Effect.suspend(() => isDone ? Effect.void : end(state, entry))
        const work = Effect.suspend(() => {
          if (entry.hasEnded) return Effect.void
          entry.fibers = [...entry.fibers, fiber]
          return effect
        })
        const done = Effect.suspend(() => {
          isDone = true
          entry.fibers = entry.fibers.filter((other) => other !== fiber)
          return Scope.close(scope, Exit.void)
        })
        return Effect.zipRight(Scope.addFinalizer(scope, ended), Effect.ensuring(work, done))
      })
    )
  )))

/** Takes an entry out and stops its fibers, but not the one that asks for it. */
export const end = (state: State, entry: ScheduleEntry): Effect.Effect<void> =>
  Effect.suspend(() => {
    detach(state, entry)
    return entry.fibers.length === 0 ? Effect.void : stopFibers(entry)
  })

/** Takes an entry out. */
export const detach = (state: State, entry: ScheduleEntry): void => {
  if (entry.hasEnded) return
  entry.hasEnded = true
  entry.line = []
  TimerHeap.remove(state.heap, entry)
  state.entries.delete(entry.id)
  state.owned.get(entry.owner)?.delete(entry)
}

// internal

const disown = (state: State, owner: Scope.Scope): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const entry of state.owned.get(owner) ?? []) detach(state, entry)
    state.owned.delete(owner)
  })

const stopFibers = (entry: ScheduleEntry): Effect.Effect<void> =>
  Effect.fiberIdWith((self) => Fiber.interruptAll(entry.fibers.filter((fiber) => fiber.id() !== self)))
