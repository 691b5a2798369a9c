/**
 * Deadlines end asks that were not answered in time: one fiber for all of them.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"

/** Is what expires. */
export interface Deadline {
  readonly timeoutMillis: number
  readonly atMillis: number
  expire(): void
}

/**
 * Holds deadlines, those of one timeout together: the first that was added is then the first to expire. There are as many
 * groups as different timeouts, and as many deadlines as asks that wait.
 */
export class Deadlines {
  readonly #groups = new Map<number, Set<Deadline>>()
  readonly #clock: Clock.Clock
  #wakesAtMillis = Infinity
  #earlier = Deferred.unsafeMake<void>(FiberId.none)

  constructor(clock: Clock.Clock) {
    this.#clock = clock
  }

  /** Adds a deadline, at so many milliseconds from now as its timeout has. */
  add(deadline: Deadline): void {
    const { atMillis, timeoutMillis } = deadline
    const group = this.#groups.get(timeoutMillis)
    if (group === undefined) this.#groups.set(timeoutMillis, new Set([deadline]))
    else group.add(deadline)
    if (atMillis < this.#wakesAtMillis) {
      this.#wakesAtMillis = atMillis
      Deferred.unsafeDone(this.#earlier, Effect.void)
    }
  }

  /** Removes a deadline before it expires. */
  remove(deadline: Deadline): void {
    this.#groups.get(deadline.timeoutMillis)?.delete(deadline)
  }

  /** Expires what is due, as long as it runs. */
  readonly run: Effect.Effect<never> = Effect.forever(Effect.suspend(() => {
    this.#earlier = Deferred.unsafeMake<void>(FiberId.none)
    const nowMillis = this.#clock.unsafeCurrentTimeMillis()
    this.#expire(nowMillis)
    this.#wakesAtMillis = this.#next()
    const earlier = Deferred.await(this.#earlier)
    return this.#wakesAtMillis === Infinity
      ? earlier
      : Effect.raceFirst(this.#clock.sleep(Duration.millis(this.#wakesAtMillis - nowMillis)), earlier)
  }))

  #expire(nowMillis: number): void {
    for (const [timeoutMillis, group] of this.#groups) {
      for (const deadline of group) {
        if (deadline.atMillis > nowMillis) break
        group.delete(deadline)
        deadline.expire()
      }
      if (group.size === 0) this.#groups.delete(timeoutMillis)
    }
  }

  #next(): number {
    let next = Infinity
    for (const group of this.#groups.values()) {
      for (const { atMillis } of group) {
        next = Math.min(next, atMillis)
        break
      }
    }
    return next
  }
}
