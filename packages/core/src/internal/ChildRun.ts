/**
 * A child run is one run of a child's program, in a fiber that is nobody's child.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as Backoff from "../Backoff.ts"
import { exitClass } from "../RestartDecision.ts"
import type { ChildIntensity, RestartTimes } from "../RestartIntensity.ts"
import { eventsMax, type SupervisorEvent } from "../SupervisorEvent.ts"
import { monotonicMillis } from "./monotonicMillis.ts"

/** Tells what happens to children, and when. */
export interface Teller {
  readonly name: string
  readonly clock: Clock.Clock
  readonly told: PubSub.PubSub<Told>
}

/** What has happened. An event is made of it when somebody reads it. */
export interface Told {
  readonly happening: Happening
  readonly atMillis: number
}

/** Is an event without what every event has. A cause that is an exit is rendered when somebody reads it. */
export type Happening<Event = SupervisorEvent> = Event extends { readonly cause: string }
  ? Omit<Event, "supervisor" | "atMillis" | "cause"> & {
    readonly cause: string | Exit.Exit<unknown, unknown>
  }
  : Event extends SupervisorEvent ? Omit<Event, "supervisor" | "atMillis">
  : never

export const makeTeller = (name: string): Effect.Effect<Teller> =>
  Effect.gen(function*() {
    const told = yield* PubSub.sliding<Told>({ capacity: eventsMax, replay: eventsMax })
    return { name, clock: yield* Effect.clock, told }
  })

/**
 * Forks a run that begins when `delay` has passed. A daemon, for neither a parent fiber nor a scope would
 * leave a child behind that does not stop: {@link stop} ends it.
 */
export const fork = <A, E, R>(program: Effect.Effect<A, E, R>, delay: Duration.Duration) =>
  Effect.forkDaemon(
    Effect.interruptible(Duration.toMillis(delay) === 0 ? program : Effect.delay(program, delay))
  )

/**
 * Interrupts a run and waits until it has ended, for no longer than its child's `shutdown`. Tells how it went,
 * and says whether the run has ended.
 */
export const stop = <A, E>(
  teller: Teller,
  child: { readonly id: string; readonly shutdown: Duration.Duration },
  run: Fiber.RuntimeFiber<A, E>
): Effect.Effect<boolean> =>
  Effect.uninterruptible(Effect.suspend(() => {
    const fromMillis = monotonicMillis(teller.clock)
    return Effect.fiberIdWith((self) => Fiber.interruptAsFork(run, self)).pipe(
      Effect.zipRight(Effect.yieldNow()),
      Effect.zipRight(Effect.suspend(() => awaitAtMost(run, child.shutdown))),
      Effect.flatMap((exit) => {
        const { id } = child
        if (exit === null) {
          const timeoutMillis = Duration.toMillis(child.shutdown)
          return Effect.as(publish(teller, { _tag: "ChildAbandoned", child: id, timeoutMillis }), false)
        }
        const ended = { child: id, exitClass: exitClass(exit), cause: exit }
        const tookMillis = monotonicMillis(teller.clock) - fromMillis
        return Effect.as(publish(teller, { _tag: "ChildStopped", ...ended, tookMillis }), true)
      })
    )
  }))

// Most runs end at once, and need no timer. The others are waited for by a daemon, which ends within the time: an
// interruption would reach a fiber of the one that waits, even if that is not interruptible itself.
const awaitAtMost = <A, E>(
  run: Fiber.RuntimeFiber<A, E>,
  shutdown: Duration.Duration
): Effect.Effect<Exit.Exit<A, E> | null> => {
  const exit = run.unsafePoll()
  if (exit !== null) return Effect.succeed(exit)
  const waiting = Effect.timeoutTo(Fiber.await(run), {
    duration: shutdown,
    onSuccess: (exit): Exit.Exit<A, E> | null => exit,
    onTimeout: () => null
  })
  return Effect.flatMap(Effect.forkDaemon(Effect.interruptible(waiting)), Fiber.join)
}

/** How long to wait before the last restart in `times`: as long as decided, or as the backoff has it if longer. */
export const restartDelay = (
  { backoff }: ChildIntensity,
  times: RestartTimes,
  decided: Duration.Duration
): Effect.Effect<Duration.Duration> =>
  backoff === null
    ? Effect.succeed(decided)
    : Effect.map(
      Random.next,
      (random) =>
        Duration.max(decided, Duration.millis(Backoff.delayMillis(backoff, times.length + 1, random)))
    )

export const publish = ({ clock, told }: Teller, happening: Happening): Effect.Effect<void> =>
  Effect.suspend(() => PubSub.publish(told, { happening, atMillis: clock.unsafeCurrentTimeMillis() }))

/** The events, as a supervisor shows them. */
export const events = ({ name, told }: Teller): Stream.Stream<SupervisorEvent> =>
  Stream.fromPubSub(told).pipe(
    Stream.map((told) => toEvent(name, told)),
    Stream.takeUntil((event) => event._tag === "SupervisorStopped")
  )

const toEvent = (supervisor: string, { atMillis, happening }: Told): SupervisorEvent => {
  if (!("cause" in happening)) return { ...happening, supervisor, atMillis }
  const { cause } = happening
  if (typeof cause === "string") return { ...happening, cause, supervisor, atMillis }
  let text: string | undefined
  return {
    ...happening,
    supervisor,
    atMillis,
    get cause() {
      text ??= rendered(cause)
      return text
    }
  }
}

export const rendered = <A, E>(exit: Exit.Exit<A, E>): string =>
  Exit.isSuccess(exit) ? "" : Cause.pretty(exit.cause)
