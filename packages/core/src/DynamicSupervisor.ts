/**
 * A dynamic supervisor runs children that are started while it runs. Each has a restart budget of its own:
 * however often one child crashes, no other hears of it.
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { StartRefused } from "./ChildError.ts"
import {
  ChildAlreadyPresent,
  ChildNotFound,
  ChildRunning,
  MaxChildrenReached,
  SupervisorClosed
} from "./ChildError.ts"
import type { ChildOptions, ChildSpec } from "./ChildSpec.ts"
import * as ChildRun from "./internal/ChildRun.ts"
import * as DynamicChild from "./internal/DynamicChild.ts"
import * as SupervisedChild from "./internal/SupervisedChild.ts"
import * as TreePlace from "./internal/TreePlace.ts"
import type { ChildIntensity } from "./RestartIntensity.ts"
import * as RestartIntensity from "./RestartIntensity.ts"
import type { TreeNode } from "./SupervisionTree.ts"
import type { ChildCounts, ChildInfo } from "./Supervisor.ts"
import type { SupervisorEvent } from "./SupervisorEvent.ts"

/** The children a dynamic supervisor has at most when it names no other number, parked ones included. */
export const defaultMaxChildren = 100_000

/** Says how many children a supervisor may have and how often each may be restarted. See {@link make}. */
export interface Options {
  readonly name?: string
  readonly maxChildren?: number
  readonly intensity?: Omit<NonNullable<ChildOptions["intensity"]>, "exceeded">
}

/** A running dynamic supervisor. Whatever is done to one child takes no longer the more there are. */
export interface DynamicSupervisor {
  readonly name: string
  /**
   * Starts a child and waits until it has started, or is not going to: the status says which. Interrupted
   * before that, it stops the child.
   *
   * Nothing that a child fails with may escalate, since that would end its siblings: the specification's type
   * says so. A child whose own `intensity` escalates when exceeded is parked all the same. Dies on a child
   * that is significant: nothing here ends because one child did.
   */
  readonly startChild: <R>(
    spec: ChildSpec<string, never, R>
  ) => Effect.Effect<ChildInfo, StartRefused, R>
  /** Stops a child, within its shutdown timeout, and forgets it. */
  readonly terminateChild: (id: string) => Effect.Effect<void, ChildNotFound>
  /** Starts a parked child again, its budget renewed, and waits as `startChild` does. */
  readonly restartChild: (id: string) => Effect.Effect<ChildInfo, ChildNotFound | ChildRunning>
  readonly child: (id: string) => Effect.Effect<Option.Option<ChildInfo>>
  /** The children in the order in which they were started. Those that are not to be started again are gone. */
  readonly whichChildren: Effect.Effect<ReadonlyArray<ChildInfo>>
  readonly countChildren: Effect.Effect<ChildCounts>
  /** The supervisor, its children, and the supervisors that run inside those. */
  readonly tree: Effect.Effect<TreeNode>
  /**
   * The events of the supervisor, beginning with the latest 256 before the subscription, ending when the
   * supervisor has. A subscriber more than 256 events behind misses the oldest; it never delays the
   * supervisor.
   */
  readonly events: Stream.Stream<SupervisorEvent>
  /** Waits until the scope of the supervisor has closed and its children are stopped. */
  readonly await: Effect.Effect<void>
}

/**
 * Starts a supervisor without children, which runs until its scope closes. It then stops its children at
 * once, each within its own shutdown timeout; one that does not stop is reported (`ChildAbandoned`) and left
 * behind. Dies on a `maxChildren` that is no positive integer, and on an intensity that is none.
 *
 * - `name`: names the supervisor in events and errors. `supervisor` by default.
 * - `maxChildren`: {@link defaultMaxChildren} by default. Children that wait to be started again count, and
 *   parked ones.
 * - `intensity`: the budget of each child whose specification names none. 3 restarts in 5 seconds by default.
 *   A child that needs one more is parked: stopped, visible, and started again by `restartChild`.
 *
 * A child that is not to be started again is gone: a transient one that succeeded, a temporary one after any
 * end, one whose failure decides `stop`. A decision function that throws parks its child.
 *
 * **Source** Elixir `DynamicSupervisor`. Different from there: the budget is each child's own.
 *
 * @example
 * ```ts
 * import * as DynamicSupervisor from "@holdfast/core/DynamicSupervisor"
 * import * as Supervisor from "@holdfast/core/Supervisor"
 * import * as Effect from "effect/Effect"
 *
 * declare const converse: (room: string) => Effect.Effect<void>
 *
 * export const program = Effect.scoped(Effect.gen(function*() {
 *   const rooms = yield* DynamicSupervisor.make({ name: "rooms", maxChildren: 100 })
 *   yield* rooms.startChild(Supervisor.child({ id: "kitchen", start: converse("kitchen"), restart: "transient" }))
 *   yield* rooms.terminateChild("kitchen")
 * }))
 * ```
 */
export const make = (options: Options = {}): Effect.Effect<DynamicSupervisor, never, Scope.Scope> =>
  Effect.map(Effect.acquireRelease(open(options), close), (state) => ({
    name: state.name,
    startChild: (spec) => startChild(state, spec),
    terminateChild: (id) => terminateChild(state, id),
    restartChild: (id) => restartChild(state, id),
    child: (id) =>
      Effect.sync(() => Option.map(Option.fromNullable(state.children.get(id)), SupervisedChild.childInfo)),
    whichChildren: Effect.sync(() => Array.from(state.children.values(), SupervisedChild.childInfo)),
    countChildren: Effect.sync(() => SupervisedChild.count(state.children.values())),
    tree: Effect.sync(() => tree(state)),
    events: ChildRun.events(state),
    await: Deferred.await(state.ended)
  }))

/** Starts a supervisor with the layer and stops it with it. Options and defects are those of {@link make}. */
export const layer = <I>(tag: Context.Tag<I, DynamicSupervisor>, options?: Options): Layer.Layer<I> =>
  Layer.scoped(tag, make(options))

// internal

const defaultIntensity = {
  maxRestarts: RestartIntensity.defaultMaxRestarts,
  period: RestartIntensity.defaultPeriod
}

interface State extends ChildRun.Teller {
  readonly maxChildren: number
  readonly budget: ChildIntensity
  /** By id, in the order in which they were started. Bounded by `maxChildren`. */
  readonly children: Map<string, DynamicChild.Child>
  /** Holds the keepers; closing it stops them at once, not one after the other. */
  readonly keepers: Scope.CloseableScope
  readonly ended: Deferred.Deferred<void>
  /** Takes it from the tree in which it stands. */
  readonly detach: Effect.Effect<void>
  closed: boolean
}

const open = (options: Options): Effect.Effect<State> =>
  Effect.gen(function*() {
    const { intensity = defaultIntensity, maxChildren = defaultMaxChildren, name = "supervisor" } = options
    if (!Number.isSafeInteger(maxChildren) || maxChildren < 1) {
      throw new RangeError(`maxChildren must be a positive integer, not ${maxChildren}`)
    }
    const state: State = {
      ...yield* ChildRun.makeTeller(name),
      maxChildren,
      budget: RestartIntensity.unsafeMakeChild(intensity),
      children: new Map(),
      keepers: yield* Scope.make(ExecutionStrategy.parallel),
      ended: yield* Deferred.make<void>(),
      detach: yield* TreePlace.attach(() => tree(state)),
      closed: false
    }
    return state
  })

const close = (state: State): Effect.Effect<void> =>
  Effect.gen(function*() {
    state.closed = true
    yield* Scope.close(state.keepers, Exit.void)
    yield* ChildRun.publish(state, { _tag: "SupervisorStopped", cause: "" })
    yield* state.detach
    yield* Deferred.succeed(state.ended, undefined)
  })

const tree = (state: State): TreeNode => ({
  ...SupervisedChild.tree({ ...state, strategy: "one_for_one" }),
  strategy: "dynamic"
})

// The keeper enters its child itself, so that every child that is found has a keeper to interrupt. The child's times are
// those of the clock that its delays are slept on: the caller's.
const startChild = <R>(
  state: State,
  spec: ChildSpec<string, never, R>
): Effect.Effect<ChildInfo, StartRefused, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      if (spec.significant) {
        throw new Error(`Child "${spec.id}" of a dynamic supervisor cannot be significant`)
      }
      const entered = yield* Deferred.make<Effect.Effect<ChildInfo>, StartRefused>()
      const teller = { name: state.name, told: state.told, clock: yield* Effect.clock }
      const keeper = yield* Effect.forkIn(keep(state, teller, spec, entered), state.keepers)
      const settled = Effect.flatten(Deferred.await(entered))
      return yield* Effect.onInterrupt(restore(settled), () => Fiber.interrupt(keeper))
    })
  )

const keep = <R>(
  state: State,
  teller: ChildRun.Teller,
  spec: ChildSpec<string, never, R>,
  entered: Deferred.Deferred<Effect.Effect<ChildInfo>, StartRefused>
) =>
  Effect.withFiberRuntime<unknown, never, R>((keeper) => {
    const refusal = refusalOf(state, spec.id)
    if (Option.isSome(refusal)) return Deferred.fail(entered, refusal.value)
    const child = DynamicChild.unsafeMake(spec, keeper)
    const budget = spec.intensity ?? state.budget
    state.children.set(spec.id, child)
    return Deferred.succeed(entered, SupervisedChild.unsafeSettled(child)).pipe(
      Effect.zipRight(DynamicChild.keep({ teller, budget, child })),
      Effect.ensuring(Effect.suspend(() => {
        state.children.delete(spec.id)
        return SupervisedChild.settle(teller, child, "stopped")
      }))
    )
  })

const refusalOf = (state: State, child: string): Option.Option<StartRefused> => {
  const { children, closed, maxChildren, name: supervisor } = state
  if (closed) return Option.some(new SupervisorClosed({ supervisor }))
  if (children.has(child)) return Option.some(new ChildAlreadyPresent({ supervisor, child }))
  return children.size < maxChildren
    ? Option.none()
    : Option.some(new MaxChildrenReached({ supervisor, maxChildren }))
}

const terminateChild = (state: State, id: string): Effect.Effect<void, ChildNotFound> =>
  withChild(state, id, ({ keeper }) => Effect.asVoid(Fiber.interrupt(keeper)))

const restartChild = (state: State, id: string): Effect.Effect<ChildInfo, ChildNotFound | ChildRunning> =>
  withChild(state, id, (child) =>
    child.status === "parked"
      ? DynamicChild.unsafeResume(child)
      : new ChildRunning({ supervisor: state.name, child: id }))

// Looks the child up and acts on it at once, so that nothing can happen to it in between.
const withChild = <A, E>(
  state: State,
  id: string,
  act: (child: DynamicChild.Child) => Effect.Effect<A, E>
): Effect.Effect<A, E | ChildNotFound> =>
  Effect.suspend((): Effect.Effect<A, E | ChildNotFound> => {
    const child = state.children.get(id)
    return child === undefined ? new ChildNotFound({ supervisor: state.name, child: id }) : act(child)
  })
