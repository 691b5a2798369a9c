/**
 * Supervision is the work of a supervisor's fiber: it takes one message after the other and alone writes the
 * state.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { ChildSpec, Tagged } from "../ChildSpec.ts"
import { exitClass } from "../RestartDecision.ts"
import * as RestartIntensity from "../RestartIntensity.ts"
import type { ChildInfo, ChildStatus, Options } from "../Supervisor.ts"
import type { SupervisorEvent } from "../SupervisorEvent.ts"
import { eventsMax } from "../SupervisorEvent.ts"
import { monotonicMillis } from "./monotonicMillis.ts"

interface Child<E, R> {
  readonly spec: ChildSpec<string, E, R>
  fiber: Option.Option<Fiber.RuntimeFiber<unknown, Tagged>>
  status: ChildStatus
  restarts: number
  changedAtMillis: number
}

/**
 * `run` is how often the child had been restarted when the run began: the start of an earlier run is stale.
 */
interface Started<E, R> {
  readonly _tag: "Started"
  readonly child: Child<E, R>
  readonly run: number
}

interface Exited<E, R> {
  readonly _tag: "Exited"
  readonly child: Child<E, R>
  readonly exit: Exit.Exit<unknown, Tagged>
}

interface State<E, R> {
  readonly name: string
  readonly intensity: RestartIntensity.RestartIntensity
  readonly children: ReadonlyArray<Child<E, R>>
  readonly messages: Queue.Queue<Started<E, R> | Exited<E, R>>
  readonly events: PubSub.PubSub<SupervisorEvent>
  readonly started: Deferred.Deferred<void, GaveUp<E>>
  readonly ended: Deferred.Deferred<void, GaveUp<E>>
  restarts: RestartIntensity.RestartTimes
}

type GaveUp<E> = RestartIntensity.RestartIntensityExceeded | E

type Happening<Event> = Event extends SupervisorEvent ? Omit<Event, "supervisor" | "atMillis"> : never

export const makeState = <E, R>(options: Options<ChildSpec<string, E, R>>): Effect.Effect<State<E, R>> =>
  Effect.gen(function*() {
    refuseDuplicates(options.children)
    return {
      name: options.name ?? "supervisor",
      intensity: RestartIntensity.unsafeMake(options.maxRestarts, options.period),
      children: options.children.map(notStarted),
      // Bounded by the children: a run of one sends once that it has started and once that it has ended.
      messages: yield* Queue.unbounded<Started<E, R> | Exited<E, R>>(),
      events: yield* PubSub.sliding<SupervisorEvent>({ capacity: eventsMax, replay: eventsMax }),
      started: yield* Deferred.make<void, GaveUp<E>>(),
      ended: yield* Deferred.make<void, GaveUp<E>>(),
      restarts: []
    }
  })

export const childInfo = <E, R>(child: Child<E, R>): ChildInfo => ({
  id: child.spec.id,
  status: child.status,
  restarts: child.restarts
})

/**
 * Forks the supervisor's fiber into the scope and waits until the children have started.
 *
 * The fiber is not interruptible from its first step, so that whatever ends it also stops what it started.
 */
export const start = <E, R>(state: State<E, R>): Effect.Effect<void, GaveUp<E>, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkScoped(Effect.onExit(supervise(state), (exit) => stopAll(state, exit)))
      yield* Effect.onInterrupt(restore(Deferred.await(state.started)), () => Fiber.interrupt(fiber))
    })
  )

const refuseDuplicates = <Spec extends { readonly id: string }>(specs: ReadonlyArray<Spec>): void => {
  const ids = specs.map((spec) => spec.id)
  const duplicate = ids.find((id, index) => ids.indexOf(id) !== index)
  if (duplicate !== undefined) throw new Error(`Two children of a supervisor have the id "${duplicate}"`)
}

const notStarted = <E, R>(spec: ChildSpec<string, E, R>): Child<E, R> => ({
  spec,
  fiber: Option.none(),
  status: "starting",
  restarts: 0,
  changedAtMillis: 0
})

const supervise = <E, R>(state: State<E, R>): Effect.Effect<never, GaveUp<E>, R> =>
  Effect.gen(function*() {
    for (const child of state.children) {
      yield* startChild(state, child, Duration.zero)
      while (child.status === "starting") yield* handleNext(state)
    }
    yield* Deferred.succeed(state.started, undefined)
    return yield* Effect.forever(handleNext(state))
  })

// Only the wait for a message can be interrupted: what the message leads to is done whole.
const handleNext = <E, R>(state: State<E, R>): Effect.Effect<void, GaveUp<E>, R> =>
  Effect.flatMap(
    Effect.interruptible(Queue.take(state.messages)),
    (message) => message._tag === "Started" ? onStarted(state, message) : onExited(state, message)
  )

// A daemon, for neither a parent fiber nor a scope would leave a child behind that does not stop. `stopAll`
// ends it.
const startChild = <E, R>(state: State<E, R>, child: Child<E, R>, delay: Duration.Duration) =>
  Effect.gen(function*() {
    const run = child.restarts
    const program = child.spec.start(signalStarted(state, child, run))
    child.status = "starting"
    const fiber = yield* Effect.forkDaemon(Effect.interruptible(delayed(program, delay)))
    child.fiber = Option.some(fiber)
    fiber.addObserver((exit) => {
      Queue.unsafeOffer(state.messages, { _tag: "Exited", child, exit })
    })
  })

const signalStarted = <E, R>(state: State<E, R>, child: Child<E, R>, run: number): Effect.Effect<void> => {
  let signalled = false
  return Effect.sync(() => {
    if (!signalled) Queue.unsafeOffer(state.messages, { _tag: "Started", child, run })
    signalled = true
  })
}

const delayed = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  delay: Duration.Duration
): Effect.Effect<A, E, R> => Duration.equals(delay, Duration.zero) ? program : Effect.delay(program, delay)

const onStarted = <E, R>(state: State<E, R>, { child, run }: Started<E, R>): Effect.Effect<void> =>
  Effect.gen(function*() {
    if (child.status !== "starting" || child.restarts !== run) return
    const id = child.spec.id
    const downMillis = yield* changeStatus(child, "running")
    if (run === 0) yield* publish(state, { _tag: "ChildStarted", child: id })
    else yield* publish(state, { _tag: "ChildRestarted", child: id, restarts: run, downMillis })
  })

const onExited = <E, R>(
  state: State<E, R>,
  { child, exit }: Exited<E, R>
): Effect.Effect<void, GaveUp<E>, R> =>
  Effect.gen(function*() {
    const started = child.status === "running"
    const ranMillis = yield* changeStatus(child, "stopped")
    const verdict = child.spec.decide(exit)
    const ended = { child: child.spec.id, exitClass: exitClass(exit), cause: rendered(exit) }
    yield* publish(state, {
      _tag: "ChildExited",
      ...ended,
      decision: verdict.decision,
      ranMillis: started ? ranMillis : 0
    })
    if (verdict.decision === "escalate") return yield* Effect.fail(verdict.error)
    if (verdict.decision === "restart") yield* restartChild(state, child, ended.cause, verdict.delay)
  })

const restartChild = <E, R>(
  state: State<E, R>,
  child: Child<E, R>,
  cause: string,
  delay: Duration.Duration
) =>
  Effect.gen(function*() {
    const restarts = RestartIntensity.admit(state.intensity, state.restarts, yield* nowMillis)
    if (Option.isNone(restarts)) return yield* giveUp(state, child, cause)
    state.restarts = restarts.value
    child.restarts += 1
    yield* startChild(state, child, delay)
  })

const giveUp = <E, R>(state: State<E, R>, child: Child<E, R>, lastCause: string) => {
  const { maxRestarts: restarts, periodMillis } = state.intensity
  const facts = { child: child.spec.id, restarts, periodMillis }
  return Effect.zipRight(
    publish(state, { _tag: "IntensityExceeded", ...facts }),
    new RestartIntensity.RestartIntensityExceeded({ supervisor: state.name, lastCause, ...facts })
  )
}

const stopAll = <E, R>(state: State<E, R>, exit: Exit.Exit<never, GaveUp<E>>): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (const child of Arr.reverse(state.children)) yield* stopChild(state, child)
    const result = Exit.isInterrupted(exit) ? Exit.void : exit
    yield* publish(state, { _tag: "SupervisorStopped", cause: rendered(result) })
    yield* Deferred.done(state.started, result)
    yield* Deferred.done(state.ended, result)
  })

const stopChild = <E, R>(state: State<E, R>, child: Child<E, R>): Effect.Effect<void> =>
  Effect.gen(function*() {
    if (child.status === "stopped" || Option.isNone(child.fiber)) return
    const { id, shutdown } = child.spec
    const fromMillis = yield* nowMillis
    yield* Fiber.interruptAsFork(child.fiber.value, yield* Effect.fiberId)
    const exit = yield* Effect.timeoutOption(Effect.interruptible(Fiber.await(child.fiber.value)), shutdown)
    if (Option.isNone(exit)) {
      return yield* publish(state, {
        _tag: "ChildAbandoned",
        child: id,
        timeoutMillis: Duration.toMillis(shutdown)
      })
    }
    yield* changeStatus(child, "stopped")
    yield* publish(state, {
      _tag: "ChildStopped",
      child: id,
      exitClass: exitClass(exit.value),
      cause: rendered(exit.value),
      tookMillis: (yield* nowMillis) - fromMillis
    })
  })

const nowMillis: Effect.Effect<number> = Effect.map(Effect.clock, monotonicMillis)

// How long the child was in the status it leaves.
const changeStatus = <E, R>(child: Child<E, R>, status: ChildStatus): Effect.Effect<number> =>
  Effect.map(nowMillis, (atMillis) => {
    const elapsedMillis = atMillis - child.changedAtMillis
    child.changedAtMillis = atMillis
    child.status = status
    return elapsedMillis
  })

const rendered = <A, E>(exit: Exit.Exit<A, E>): string => Exit.isSuccess(exit) ? "" : Cause.pretty(exit.cause)

const publish = <E, R>(state: State<E, R>, happening: Happening<SupervisorEvent>): Effect.Effect<void> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (atMillis) => PubSub.publish(state.events, { ...happening, supervisor: state.name, atMillis })
  )
