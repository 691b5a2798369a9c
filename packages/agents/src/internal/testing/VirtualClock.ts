/**
 * A virtual clock passes time where a program would wait for it, and stands still while the program does anything else.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Says that something did not end, however much time passed. */
export class Stuck extends Data.TaggedError("Stuck") {}

/** Makes a clock that stands at 0. Unlike `TestClock` it takes no real time. */
export class VirtualClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: typeof Clock.ClockTypeId = Clock.ClockTypeId
  readonly currentTimeMillis = Effect.sync(() => this.unsafeCurrentTimeMillis())
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())
  #nowMillis = 0
  /** Bounded by the fibers, each of which sleeps once at a time. */
  readonly #sleepers = new Set<Sleeper>()

  unsafeCurrentTimeMillis(): number {
    return this.#nowMillis
  }

  unsafeCurrentTimeNanos(): bigint {
    return BigInt(Math.round(this.#nowMillis * 1_000)) * 1_000n
  }

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const atMillis = this.#nowMillis + Duration.toMillis(duration)
      const sleeper: Sleeper = { atMillis, wake: () => resume(Effect.void) }
      this.#sleepers.add(sleeper)
      if (atMillis <= this.#nowMillis) this.pass(0)
      return Effect.sync(() => this.#sleepers.delete(sleeper))
    })
  }

  /** Passes that much time at once, and wakes who is due, the first one first. */
  pass(millis: number): void {
    this.#nowMillis += millis
    const due = Array.from(this.#sleepers).filter(({ atMillis }) => atMillis <= this.#nowMillis)
    for (const sleeper of due.sort((a, b) => a.atMillis - b.atMillis)) {
      this.#sleepers.delete(sleeper)
      sleeper.wake()
    }
  }

  /** Runs an effect; when it has not ended after many turns of its fibers, time passes, and ever faster. */
  drive<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | Stuck, R> {
    return Effect.raceFirst(effect, this.#passing)
  }

  /** Waits until the condition holds; says whether it did, as time passed ever faster. */
  until<E, R>(condition: Effect.Effect<boolean, E, R>): Effect.Effect<boolean, E, R> {
    return Effect.gen(this, function*() {
      for (let millis = tickMillis; millis <= fastestMillis; millis *= 2) {
        for (let turn = 0; turn < turnsPerTick; turn += turnsPerLook) {
          if (yield* condition) return true
          yield* turns(turnsPerLook)
        }
        this.pass(millis)
      }
      return false
    })
  }

  get #passing(): Effect.Effect<never, Stuck> {
    return Effect.gen(this, function*() {
      for (let tick = 1, millis = tickMillis; millis <= fastestMillis; tick++) {
        yield* turns(turnsPerTick)
        this.pass(millis)
        if (tick > evenTicks) millis *= 2
      }
      return yield* new Stuck()
    })
  }
}

/** Lets that many turns of other fibers pass. */
export const turns = (count: number): Effect.Effect<void> =>
  count === 0 ? Effect.void : Effect.repeatN(Effect.yieldNow(), count - 1)

// internal

interface Sleeper {
  readonly atMillis: number
  readonly wake: () => void
}

/** Storage in memory takes one turn for a commit, and a message a few of these. */
const turnsPerTick = 40

const turnsPerLook = 4

const tickMillis = 500

/** An ask times out before time hurries: five minutes. */
const evenTicks = 600

const fastestMillis = Duration.toMillis("366 days")
