/**
 * Supervision is the work of a supervisor's fiber: it takes one message after the other and alone writes the
 * state.
 */
import * as Arr from "effect/Array"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { ChildSpec } from "../ChildSpec.ts"
import type { Verdict } from "../RestartDecision.ts"
import { exitClass } from "../RestartDecision.ts"
import * as RestartIntensity from "../RestartIntensity.ts"
import type { AutoShutdown, Options, Strategy } from "../Supervisor.ts"
import * as ChildRun from "./ChildRun.ts"
import * as Inbox from "./Inbox.ts"
import type { Child, Message } from "./SupervisedChild.ts"
import * as SupervisedChild from "./SupervisedChild.ts"
import * as Rules from "./SupervisorRules.ts"
import * as TreePlace from "./TreePlace.ts"

export interface State<E, R> extends ChildRun.Teller {
  readonly strategy: Strategy
  readonly autoShutdown: AutoShutdown
  readonly intensity: RestartIntensity.RestartIntensity
  /** By id, in the order in which they are started. Bounded by those who start them. */
  readonly children: Map<string, Child<E, R>>
  /**
   * Bounded by the children, a run of which sends once that it has started and once that it has ended, and by
   * those who ask for an operation.
   */
  readonly inbox: Inbox.Inbox<Message<E, R>>
  readonly started: Deferred.Deferred<void, GaveUp<E>>
  readonly ended: Deferred.Deferred<void, GaveUp<E>>
  /** The children to be started one after the other, each when the one before it has started. */
  line: Array<Child<E, R>>
  /** The child started last from the line, as long as the next has to wait for it. */
  awaited: Child<E, R> | null
  restartTimes: RestartIntensity.RestartTimes
  /** Whether it takes no more messages. */
  closed: boolean
}

export type GaveUp<E> = RestartIntensity.RestartIntensityExceeded | E

export const makeState = <E, R>(
  options: Options<ChildSpec<string, E, R>>
): Effect.Effect<State<GaveUp<E>, R>> =>
  Effect.gen(function*() {
    const { autoShutdown = "never", name = "supervisor", strategy } = options
    Rules.refuseChildren(autoShutdown, options.children)
    const children = new Map(options.children.map((spec) => [spec.id, SupervisedChild.unsafeMake(spec)]))
    return {
      ...yield* ChildRun.makeTeller(name),
      strategy,
      autoShutdown,
      intensity: RestartIntensity.unsafeMake(options.maxRestarts, options.period),
      children,
      inbox: Inbox.unsafeMake(),
      started: yield* Deferred.make<void, GaveUp<E>>(),
      ended: yield* Deferred.make<void, GaveUp<E>>(),
      line: Array.from(children.values()),
      awaited: null,
      restartTimes: [],
      closed: false
    }
  })

/**
 * Forks the supervisor's fiber into the scope and waits until the children have started.
 *
 * The fiber is not interruptible from its first step, so that whatever ends it also stops what it started.
 */
export const start = <E, R>(state: State<E, R>): Effect.Effect<void, GaveUp<E>, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const detach = yield* TreePlace.attach(() => SupervisedChild.tree(state))
      const fiber = yield* Effect.forkScoped(
        Effect.onExit(supervise(state), (exit) => Effect.zipRight(stopAll(state, exit), detach))
      )
      yield* Effect.onInterrupt(restore(Deferred.await(state.started)), () => Fiber.interrupt(fiber))
    })
  )

/** Starts what is in line, as far as nothing has to be waited for. */
export const startNext = <E, R>(state: State<E, R>): Effect.Effect<void, never, R> =>
  Effect.suspend(() => {
    if (state.awaited?.status === "starting") return Effect.void
    const next = state.line.shift() ?? null
    state.awaited = next
    return next === null
      ? Deferred.succeed(state.started, undefined)
      : Effect.zipRight(SupervisedChild.start(state, next), Effect.suspend(() => startNext(state)))
  })

/** Puts children in the line, which keeps the order of the children. */
export const putInLine = <E, R>(state: State<E, R>, children: ReadonlyArray<Child<E, R>>): void => {
  const waiting = new Set([...state.line, ...children])
  state.line = waiting.size === 1
    ? [...waiting]
    : Array.from(state.children.values()).filter((child) => waiting.has(child))
}

/** Stops a child that runs, or that is to be started, and forgets it if it is temporary. */
export const stopChild = <E, R>(state: State<E, R>, child: Child<E, R>): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (state.line.length > 0) state.line = state.line.filter((other) => other !== child)
    if (child.spec.restart === "temporary") state.children.delete(child.spec.id)
    return stopAndTell(state, child)
  })

// internal

const supervise = <E, R>(state: State<E, R>): Effect.Effect<void, GaveUp<E>, R> =>
  Effect.gen(function*() {
    yield* startNext(state)
    while (yield* handleNext(state)) {
      if (state.awaited !== null) yield* startNext(state)
    }
  })

// Only the wait for a message can be interrupted: what the message leads to is done whole. Says whether the
// supervisor goes on.
const handleNext = <E, R>(state: State<E, R>): Effect.Effect<boolean, GaveUp<E>, R> =>
  Effect.flatMap(Inbox.take(state.inbox), (message) => {
    switch (message._tag) {
      case "Asked":
        return Effect.as(message.answer, true)
      case "Started":
        return Effect.as(SupervisedChild.onStarted(state, message), true)
      case "Exited":
        return message.run === message.child.run ? onExited(state, message) : Effect.succeed(true)
    }
  })

const onExited = <E, R>(
  state: State<E, R>,
  { child, exit }: SupervisedChild.Exited<E, R>
): Effect.Effect<boolean, GaveUp<E>, R> =>
  Effect.suspend(() => {
    const ranMillis = SupervisedChild.unsafeLeave(state, child)
    const verdict = child.spec.decide(exit)
    const told = ChildRun.publish(state, {
      _tag: "ChildExited",
      child: child.spec.id,
      exitClass: exitClass(exit),
      cause: exit,
      decision: verdict.decision,
      ranMillis
    })
    return Effect.zipRight(told, carryOut(state, child, exit, verdict))
  })

const carryOut = <E, R>(
  state: State<E, R>,
  child: Child<E, R>,
  exit: Exit.Exit<unknown, unknown>,
  verdict: Verdict<E>
): Effect.Effect<boolean, GaveUp<E>, R> => {
  switch (verdict.decision) {
    case "restart":
      return Effect.as(restart(state, child, exit, verdict.delay), true)
    case "park":
      return Effect.as(SupervisedChild.settle(state, child, "parked"), true)
    case "stop":
      return onStopped(state, child)
    case "escalate":
      return Effect.fail(verdict.error)
  }
}

const onStopped = <E, R>(state: State<E, R>, child: Child<E, R>): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    if (child.spec.restart === "temporary") state.children.delete(child.spec.id)
    const ends = child.spec.significant &&
      Rules.endsSupervisor(state.autoShutdown, Array.from(state.children.values()))
    return Effect.as(SupervisedChild.settle(state, child, "stopped"), !ends)
  })

const restart = <E, R>(
  state: State<E, R>,
  child: Child<E, R>,
  exit: Exit.Exit<unknown, unknown>,
  delay: Duration.Duration
): Effect.Effect<void, GaveUp<E>, R> =>
  Effect.suspend(() => {
    const { intensity } = child.spec
    const counted = intensity === null ? state : child
    const times = RestartIntensity.admit(
      intensity ?? state.intensity,
      counted.restartTimes,
      child.changedAtMillis
    )
    if (Option.isNone(times)) return onExceeded(state, child, exit)
    counted.restartTimes = times.value
    const delayed = intensity === null
      ? Effect.succeed(delay)
      : ChildRun.restartDelay(intensity, times.value, delay)
    return Effect.flatMap(delayed, (delay) => {
      child.delay = delay
      return state.strategy === "one_for_one" ? restartAlone(state, child) : restartTogether(state, child)
    })
  })

const onExceeded = <E, R>(state: State<E, R>, child: Child<E, R>, exit: Exit.Exit<unknown, unknown>) =>
  Effect.gen(function*() {
    const { maxRestarts: restarts, periodMillis } = child.spec.intensity ?? state.intensity
    const facts = { child: child.spec.id, restarts, periodMillis }
    yield* ChildRun.publish(state, { _tag: "IntensityExceeded", ...facts })
    yield* child.spec.intensity?.exceeded === "park"
      ? SupervisedChild.settle(state, child, "parked")
      : new RestartIntensity.RestartIntensityExceeded({
        supervisor: state.name,
        lastCause: ChildRun.rendered(exit),
        ...facts
      })
  })

const restartAlone = <E, R>(state: State<E, R>, child: Child<E, R>) => {
  SupervisedChild.unsafeRestarting(child)
  return SupervisedChild.start(state, child)
}

const restartTogether = <E, R>(state: State<E, R>, child: Child<E, R>) =>
  Effect.gen(function*() {
    const group = Rules.affected(state.strategy, Array.from(state.children.values()), child)
    const siblings = group.filter((other) => other !== child)
    for (const sibling of Arr.reverse(siblings)) {
      yield* Rules.comesBack(sibling) ? SupervisedChild.stop(state, sibling) : stopChild(state, sibling)
    }
    const back = group.filter((other) => other === child || Rules.comesBack(other))
    back.forEach(SupervisedChild.unsafeRestarting)
    putInLine(state, back)
    if (state.awaited === null || group.includes(state.awaited)) yield* startFirst(state)
  })

const stopAndTell = <E, R>(state: State<E, R>, child: Child<E, R>): Effect.Effect<void> =>
  Effect.map(SupervisedChild.stop(state, child), () => SupervisedChild.unsafeTell(child))

const startFirst = <E, R>(state: State<E, R>) => {
  state.awaited = null
  return startNext(state)
}

const stopAll = <E, R>(state: State<E, R>, exit: Exit.Exit<void, GaveUp<E>>): Effect.Effect<void> =>
  Effect.gen(function*() {
    state.closed = true
    for (const message of state.inbox.messages) if (message._tag === "Asked") message.refuse()
    for (const child of Arr.reverse(state.children.values())) yield* stopAndTell(state, child)
    const result = Exit.isInterrupted(exit) ? Exit.void : exit
    yield* ChildRun.publish(state, { _tag: "SupervisorStopped", cause: result })
    yield* Deferred.done(state.started, result)
    yield* Deferred.done(state.ended, result)
  })
