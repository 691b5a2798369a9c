/**
 * A permit line hands out permits, first come, first served, and keeps count.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { BulkheadConfig } from "../BulkheadConfig.ts"
import { BulkheadFull, BulkheadTimeout } from "../BulkheadError.ts"
import * as BulkheadState from "../BulkheadState.ts"

/** Leave to run one task. Whoever holds it must end it, once, on every way out; later ends are ignored. */
export interface Permit {
  readonly end: (ending: BulkheadState.Ending) => Effect.Effect<void>
}

/** Makes interruptible what was so before. What `Effect.uninterruptibleMask` gives. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Who holds and who waits. */
export interface PermitLine {
  readonly name: string
  readonly config: BulkheadConfig
  counts: BulkheadState.Counts
  /** In order of arrival; bounded by `queue` and by the fibers that wait without a bound. */
  readonly waiters: Set<Waiter>
}

interface Waiter {
  /** Set when the permit is handed over, before the waiter's fiber knows. */
  hasPermit: boolean
  readonly turn: Effect.Latch
}

/** Makes a line in which nobody waits. */
export const make = (name: string, config: BulkheadConfig): PermitLine => ({
  name,
  config,
  counts: BulkheadState.initial,
  waiters: new Set()
})

/** Takes a permit, in line if it has to, or fails. */
export const acquire = (
  line: PermitLine,
  restore: Restore
): Effect.Effect<Permit, BulkheadFull | BulkheadTimeout> =>
  Effect.suspend((): Effect.Effect<Permit, BulkheadFull | BulkheadTimeout> => {
    const { concurrency, queue, queueMillis } = line.config
    const admission = arrive(line, line.config)
    if (admission === "reject") return new BulkheadFull({ pool: line.name, concurrency, queue })
    if (admission === "start") return Effect.succeed(permitOf(line))
    return queueMillis === undefined ? waitInLine(line, restore) : waitUntil(line, restore, queueMillis)
  })

/** Takes a permit, in line for as long as it takes, however long the line. */
export const acquireWhenReady = (line: PermitLine, restore: Restore): Effect.Effect<Permit> =>
  Effect.suspend(() =>
    arrive(line, { ...line.config, queue: Infinity }) === "start"
      ? Effect.succeed(permitOf(line))
      : waitInLine(line, restore)
  )

// internal

const waitInLine = (line: PermitLine, restore: Restore): Effect.Effect<Permit> => {
  const waiter = join(line)
  return Effect.map(waiting(line, waiter, restore(waiter.turn.await)), () => permitOf(line))
}

const waitUntil = (
  line: PermitLine,
  restore: Restore,
  millis: number
): Effect.Effect<Permit, BulkheadTimeout> => {
  const waiter = join(line)
  const turnOrTimeout = Effect.raceFirst(waiter.turn.await, Effect.sleep(millis))
  return Effect.flatMap(waiting(line, waiter, restore(turnOrTimeout)), () => {
    if (waiter.hasPermit) return Effect.succeed(permitOf(line))
    leave(line, waiter, "expired")
    return new BulkheadTimeout({ pool: line.name, queueTimeout: Duration.millis(millis) })
  })
}

/** Takes a waiter that is interrupted out of the line, or hands on the permit it was just given. */
const waiting = (line: PermitLine, waiter: Waiter, wait: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.onError(wait, () =>
    Effect.sync(() => {
      if (waiter.hasPermit) end(line, "interrupted")
      else leave(line, waiter, "withdrawn")
    }))

const arrive = (line: PermitLine, limits: BulkheadState.Limits): BulkheadState.Admission => {
  const admission = BulkheadState.admission(limits, line.counts)
  line.counts = BulkheadState.transition(line.counts, { _tag: "Arrived", admission })
  return admission
}

const join = (line: PermitLine): Waiter => {
  const waiter: Waiter = { hasPermit: false, turn: Effect.unsafeMakeLatch() }
  line.waiters.add(waiter)
  return waiter
}

const leave = (line: PermitLine, waiter: Waiter, departure: BulkheadState.Departure): void => {
  line.waiters.delete(waiter)
  line.counts = BulkheadState.transition(line.counts, { _tag: "Left", departure })
}

const end = (line: PermitLine, ending: BulkheadState.Ending): void => {
  line.counts = BulkheadState.transition(line.counts, { _tag: "Ended", ending })
  const [next] = line.waiters
  if (next === undefined) return
  line.waiters.delete(next)
  next.hasPermit = true
  next.turn.unsafeOpen()
}

const permitOf = (line: PermitLine): Permit => {
  let isEnded = false
  return {
    end: (ending) =>
      Effect.sync(() => {
        if (!isEnded) end(line, ending)
        isEnded = true
      })
  }
}
