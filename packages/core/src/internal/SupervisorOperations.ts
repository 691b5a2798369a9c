/**
 * Supervisor operations are what others may ask of a supervisor. Its own fiber does them, one after the other
 * with all that happens to its children.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { ChildAlreadyPresent, ChildNotFound, ChildRunning, SupervisorClosed } from "../ChildError.ts"
import type { ChildSpec } from "../ChildSpec.ts"
import type { RestartIntensityExceeded } from "../RestartIntensity.ts"
import type { ChildInfo } from "../Supervisor.ts"
import { givenContext } from "./givenContext.ts"
import * as Inbox from "./Inbox.ts"
import type { Child } from "./SupervisedChild.ts"
import * as SupervisedChild from "./SupervisedChild.ts"
import type { GaveUp, State } from "./Supervision.ts"
import { putInLine, startNext, stopChild } from "./Supervision.ts"
import * as Rules from "./SupervisorRules.ts"

export const startChild = <E, R, RC>(
  state: State<GaveUp<E>, R>,
  spec: ChildSpec<string, RestartIntensityExceeded, RC>
): Effect.Effect<ChildInfo, ChildAlreadyPresent | ChildRunning | SupervisorClosed, RC> =>
  Effect.contextWithEffect((context: Context.Context<RC>) => {
    Rules.refuseChildren(state.autoShutdown, [spec])
    const start = (ready: Effect.Effect<void>) => givenContext(spec.start(ready), context)
    return ask(state, (reply: (info: ChildInfo) => void) => {
      const present = state.children.get(spec.id)
      if (present !== undefined) return Effect.fail(refusal(state, present))
      const child = SupervisedChild.unsafeMake<GaveUp<E>, R>({ ...spec, start })
      state.children.set(spec.id, child)
      return startInTurn(state, child, reply)
    })
  })

export const terminateChild = <E, R>(
  state: State<E, R>,
  id: string
): Effect.Effect<void, ChildNotFound | SupervisorClosed> =>
  ask(state, (reply: () => void) =>
    Effect.flatMap(find(state, id), (child) => {
      if (child.status === "parked") child.status = "stopped"
      return Effect.map(stopChild(state, child), reply)
    }))

export const restartChild = <E, R>(
  state: State<E, R>,
  id: string
): Effect.Effect<ChildInfo, ChildNotFound | ChildRunning | SupervisorClosed> =>
  ask(state, (reply: (info: ChildInfo) => void) =>
    Effect.flatMap(find(state, id), (child) => {
      if (isRunning(child)) return new ChildRunning({ supervisor: state.name, child: id })
      child.restartTimes = []
      child.restarting = false
      child.status = "starting"
      return startInTurn(state, child, reply)
    }))

export const deleteChild = <E, R>(
  state: State<E, R>,
  id: string
): Effect.Effect<void, ChildNotFound | ChildRunning | SupervisorClosed> =>
  ask(state, (reply: () => void) =>
    Effect.flatMap(find(state, id), (child) => {
      if (isRunning(child)) return new ChildRunning({ supervisor: state.name, child: id })
      state.children.delete(id)
      return Effect.sync(reply)
    }))

// internal

// The operation replies when it is done, be that later, or fails.
const ask = <A, E2, E, R>(
  state: State<E, R>,
  operation: (reply: (value: A) => void) => Effect.Effect<void, E2, R>
): Effect.Effect<A, E2 | SupervisorClosed> =>
  Effect.async((resume) => {
    const refuse = () => resume(new SupervisorClosed({ supervisor: state.name }))
    if (state.closed) return refuse()
    const done = Effect.suspend(() => operation((value) => resume(Effect.succeed(value))))
    const answer = Effect.map(Effect.exit(done), (exit) => {
      if (Exit.isFailure(exit)) resume(Effect.failCause(exit.cause))
    })
    Inbox.unsafeOffer(state.inbox, { _tag: "Asked", answer, refuse })
  })

// After those that are to be started before it, or at once. Replies when it has.
const startInTurn = <E, R>(state: State<E, R>, child: Child<E, R>, reply: (info: ChildInfo) => void) => {
  child.waiters.push(reply)
  putInLine(state, [child])
  return startNext(state)
}

const find = <E, R>(state: State<E, R>, id: string): Effect.Effect<Child<E, R>, ChildNotFound> => {
  const child = state.children.get(id)
  return child === undefined
    ? new ChildNotFound({ supervisor: state.name, child: id })
    : Effect.succeed(child)
}

const refusal = <E, R>(state: State<E, R>, present: Child<E, R>) => {
  const facts = { supervisor: state.name, child: present.spec.id }
  return isRunning(present) ? new ChildRunning(facts) : new ChildAlreadyPresent(facts)
}

const isRunning = <E, R>({ status }: Child<E, R>): boolean => status === "starting" || status === "running"
