/**
 * A supervised child is a child as its supervisor sees it: its specification, its run, and what it has been
 * through.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { ChildSpec, Tagged } from "../ChildSpec.ts"
import type { RestartTimes } from "../RestartIntensity.ts"
import type { TreeNode } from "../SupervisionTree.ts"
import type { ChildCounts, ChildInfo, ChildStatus, Strategy } from "../Supervisor.ts"
import * as ChildRun from "./ChildRun.ts"
import * as Inbox from "./Inbox.ts"
import { monotonicMillis } from "./monotonicMillis.ts"
import * as TreePlace from "./TreePlace.ts"

export interface Child<E, R> {
  readonly spec: ChildSpec<string, E, R>
  readonly place: TreePlace.TreePlace
  /** Which run it is in: a message of another is stale. */
  run: number
  fiber: RunFiber | null
  /** The run that was stopped and has not ended: the next one waits for it. */
  abandoned: RunFiber | null
  status: ChildStatus
  changedAtMillis: number
  restarts: number
  /** The restarts that count against the child's own intensity. */
  restartTimes: RestartTimes
  /** Whether the next start, or the one it is in, is a restart. */
  restarting: boolean
  /** How long to wait before the next start. */
  delay: Duration.Duration
  /** Those who wait until the child has started, or is not to be. */
  readonly waiters: Array<(info: ChildInfo) => void>
}

export type RunFiber = Fiber.RuntimeFiber<unknown, Tagged>

export interface Started<E, R> {
  readonly _tag: "Started"
  readonly child: Child<E, R>
  readonly run: number
}

export interface Exited<E, R> {
  readonly _tag: "Exited"
  readonly child: Child<E, R>
  readonly run: number
  readonly exit: Exit.Exit<unknown, Tagged>
}

/** Is an operation that somebody waits for. */
export interface Asked<R> {
  readonly _tag: "Asked"
  readonly answer: Effect.Effect<unknown, never, R>
  readonly refuse: () => void
}

export type Message<E, R> = Started<E, R> | Exited<E, R> | Asked<R>

/** What a child is told of its supervisor, and tells it. */
export interface Parent<E, R> extends ChildRun.Teller {
  readonly inbox: Inbox.Inbox<Message<E, R>>
}

export const unsafeMake = <E, R>(spec: ChildSpec<string, E, R>): Child<E, R> => ({
  spec,
  place: TreePlace.unsafeMake(),
  run: 0,
  fiber: null,
  abandoned: null,
  status: "starting",
  changedAtMillis: 0,
  restarts: 0,
  restartTimes: [],
  restarting: false,
  delay: Duration.zero,
  waiters: []
})

export const childInfo = <E, R>({ restarts, spec, status }: Child<E, R>): ChildInfo => ({
  id: spec.id,
  status,
  restarts
})

/** Counts children, in one pass. */
export const count = <E, R>(children: Iterable<Child<E, R>>): ChildCounts => {
  const counts = { specs: 0, active: 0, supervisors: 0, workers: 0 }
  for (const { spec, status } of children) {
    counts.specs += 1
    if (status === "running") counts.active += 1
    if (spec.nested === null) counts.workers += 1
    else counts.supervisors += 1
  }
  return counts
}

/** Starts a run of the child when its delay has passed and its earlier runs have ended. */
export const start = <E, R>(parent: Parent<E, R>, child: Child<E, R>): Effect.Effect<void, never, R> =>
  Effect.suspend(() => {
    const { abandoned, delay } = child
    const run = ++child.run
    const program = TreePlace.inside(child.place, child.spec.start(signalStarted(parent, child, run)))
    child.delay = Duration.zero
    return Effect.map(
      ChildRun.fork(abandoned === null ? program : Effect.zipRight(Fiber.await(abandoned), program), delay),
      (fiber) => {
        child.fiber = fiber
        fiber.addObserver((exit) => {
          Inbox.unsafeOffer(parent.inbox, { _tag: "Exited", child, run, exit })
        })
      }
    )
  })

export const onStarted = <E, R>(
  parent: Parent<E, R>,
  { child, run }: Started<E, R>
): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (child.run !== run || child.status !== "starting") return Effect.void
    const { restarting, restarts, spec: { id } } = child
    child.abandoned = null
    return Effect.flatMap(settle(parent, child, "running"), (downMillis) =>
      ChildRun.publish(
        parent,
        restarting
          ? { _tag: "ChildRestarted", child: id, restarts, downMillis }
          : { _tag: "ChildStarted", child: id }
      ))
  })

/** Notes that the run has ended, and says how long it ran since it started: 0 when it had not. */
export const unsafeLeave = <E, R>({ clock }: ChildRun.Teller, child: Child<E, R>): number => {
  const atMillis = monotonicMillis(clock)
  const ranMillis = child.status === "running" ? atMillis - child.changedAtMillis : 0
  child.fiber = null
  child.status = "stopped"
  child.changedAtMillis = atMillis
  return ranMillis
}

/** Notes that the supervisor is to start the child again. */
export const unsafeRestarting = <E, R>(child: Child<E, R>): void => {
  child.restarts += 1
  child.restarting = true
  child.status = "starting"
}

/** Stops the run of a child, or keeps it from being started. A parked child stays so. */
export const stop = <E, R>(parent: ChildRun.Teller, child: Child<E, R>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { fiber } = child
    child.delay = Duration.zero
    if (fiber === null) {
      if (child.status === "starting") child.status = "stopped"
      return Effect.void
    }
    child.run += 1
    child.fiber = null
    return Effect.map(ChildRun.stop(parent, child.spec, fiber), (ended) => {
      if (!ended) child.abandoned = fiber
      child.changedAtMillis = monotonicMillis(parent.clock)
      child.status = "stopped"
    })
  })

/** Gives the child a status, tells it to those who wait, and says how long it was in the one before. */
export const settle = <E, R>(
  { clock }: ChildRun.Teller,
  child: Child<E, R>,
  status: ChildStatus
): Effect.Effect<number> =>
  Effect.sync(() => {
    const atMillis = monotonicMillis(clock)
    const elapsedMillis = atMillis - child.changedAtMillis
    child.changedAtMillis = atMillis
    child.status = status
    unsafeTell(child)
    return elapsedMillis
  })

/** Tells those who wait for the child to start how it is. */
export const unsafeTell = <E, R>(child: Child<E, R>): void => {
  for (const waiter of child.waiters.splice(0)) waiter(childInfo(child))
}

/** Waits, from the moment it is called, until a child has started or is not to be. */
export const unsafeSettled = <E, R>(child: Child<E, R>): Effect.Effect<ChildInfo> => {
  const settled = Deferred.unsafeMake<ChildInfo>(FiberId.none)
  child.waiters.push((info) => Deferred.unsafeDone(settled, Effect.succeed(info)))
  return Deferred.await(settled)
}

/** Shows a supervisor and what is below it. */
export const tree = <E, R>(supervisor: {
  readonly name: string
  readonly strategy: Strategy
  readonly closed: boolean
  readonly children: ReadonlyMap<string, Child<E, R>>
}): TreeNode => ({
  name: supervisor.name,
  kind: "supervisor",
  strategy: supervisor.strategy,
  status: supervisor.closed ? "stopped" : "running",
  restarts: 0,
  children: Array.from(supervisor.children.values(), childNode)
})

// internal

const signalStarted = <E, R>(parent: Parent<E, R>, child: Child<E, R>, run: number): Effect.Effect<void> => {
  let signalled = false
  return Effect.sync(() => {
    if (!signalled) Inbox.unsafeOffer(parent.inbox, { _tag: "Started", child, run })
    signalled = true
  })
}

// A nested supervisor and the child that runs it are one node.
const childNode = <E, R>({ place, restarts, spec, status }: Child<E, R>): TreeNode => {
  const inside = TreePlace.nodes(place)
  const node = { name: spec.id, status, restarts }
  return spec.nested === null
    ? { ...node, kind: "worker", children: inside }
    : { children: [], ...inside[0], ...node, kind: "supervisor" }
}
