/**
 * In-process hints that a queue may have something to claim.
 */
import * as Effect from "effect/Effect"

/** Wakes the fibers of this process that wait on a queue. Its entries are bounded by the fibers that wait. */
export interface QueueSignals {
  /** Wakes everybody who waits on the queue. */
  readonly notify: (queue: string) => void
  /** Completes at the next `notify` of the queue. */
  readonly await: (queue: string) => Effect.Effect<void>
}

/** Makes signals with nobody waiting. */
export const make = (): QueueSignals => {
  const waiting = new Map<string, Set<() => void>>()
  return {
    notify: (queue) => {
      const wakers = waiting.get(queue)
      waiting.delete(queue)
      wakers?.forEach((wake) => wake())
    },
    await: (queue) =>
      Effect.async<void>((resume) => {
        const wakers = waiting.get(queue) ?? new Set()
        const wake = () => resume(Effect.void)
        waiting.set(queue, wakers.add(wake))
        return Effect.sync(() => {
          wakers.delete(wake)
          if (wakers.size === 0 && waiting.get(queue) === wakers) waiting.delete(queue)
        })
      })
  }
}
