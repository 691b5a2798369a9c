/**
 * A supervisor runs children in a scope: starts them in order, restarts those that end as their
 * specifications say, and stops them in reverse order when its scope closes or when it gives up.
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { ChildAlreadyPresent, ChildNotFound, ChildRunning, SupervisorClosed } from "./ChildError.ts"
import type {
  ChildOptions,
  ChildSpec,
  Decisions,
  ErasedDecisions,
  Escalated,
  EscalatedBy,
  NestedDecisions,
  NestedOnFailure,
  RequiredBy,
  Tagged
} from "./ChildSpec.ts"
import * as ChildSpecs from "./ChildSpec.ts"
import * as ChildRun from "./internal/ChildRun.ts"
import * as SupervisedChild from "./internal/SupervisedChild.ts"
import * as Supervision from "./internal/Supervision.ts"
import * as Operations from "./internal/SupervisorOperations.ts"
import type { RestartIntensityExceeded } from "./RestartIntensity.ts"
import type { TreeNode } from "./SupervisionTree.ts"
import type { SupervisorEvent } from "./SupervisorEvent.ts"

export { child, withReady } from "./ChildSpec.ts"
export { make as dynamic } from "./DynamicSupervisor.ts"
export { make as partitioned } from "./PartitionSupervisor.ts"
export { restartAfter } from "./RestartDecision.ts"
export { RestartIntensityExceeded } from "./RestartIntensity.ts"

/**
 * Says what a supervisor restarts when it restarts a child.
 *
 * `one_for_one`: that child alone. `one_for_all`: all children. `rest_for_one`: that child and those started
 * after it. The others are stopped in reverse order before the first is started again, all in order;
 * temporary ones are not, and parked ones stay parked.
 *
 * **Source** OTP `supervisor`, restart strategies.
 */
export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one"

/**
 * Says whether a supervisor ends when significant children have ended by themselves and are not to be started
 * again: `never`, with `any` of them, or with the last of them `all`.
 *
 * **Source** OTP 24 `supervisor`, automatic shutdown.
 */
export type AutoShutdown = "never" | "any" | "all"

/**
 * Says where a child is: on its way to be started or restarted, running, not to be started again, or parked
 * until somebody does.
 */
export type ChildStatus = "starting" | "running" | "stopped" | "parked"

/** Describes a child of a supervisor. `restarts` counts from the supervisor's start. */
export interface ChildInfo {
  readonly id: string
  readonly status: ChildStatus
  readonly restarts: number
}

/** Counts children: all, those that run, and those that are supervisors and workers. */
export interface ChildCounts {
  readonly specs: number
  readonly active: number
  readonly supervisors: number
  readonly workers: number
}

/** Says what a supervisor runs and how. See {@link make}. */
export interface Options<Spec> {
  readonly name?: string
  readonly strategy: Strategy
  readonly children: ReadonlyArray<Spec>
  readonly maxRestarts?: number
  readonly period?: Duration.DurationInput
  readonly autoShutdown?: AutoShutdown
}

/** A running supervisor. `E` are the typed failures its children may escalate. */
export interface Supervisor<out E = never> {
  readonly name: string
  /**
   * Waits until the supervisor has ended and stopped its children. Succeeds when its scope was closed or
   * significant children have ended, fails when it gave up, dies when a decision function of a child threw.
   */
  readonly await: Effect.Effect<void, RestartIntensityExceeded | E>
  /**
   * The events of the supervisor, beginning with the latest 256 before the subscription, ending when the
   * supervisor has. A subscriber more than 256 events behind misses the oldest; it never delays the
   * supervisor.
   */
  readonly events: Stream.Stream<SupervisorEvent>
  /**
   * The children in the order in which they are started, with those that are not to be started again. Temporary
   * ones that have ended are gone.
   */
  readonly whichChildren: Effect.Effect<ReadonlyArray<ChildInfo>>
  readonly countChildren: Effect.Effect<ChildCounts>
  /** The supervisor and all that is below it, as it is now. */
  readonly tree: Effect.Effect<TreeNode>
  /**
   * Adds a child after the others, starts it, and waits until it has started, or is not going to: the status
   * says which. Its failures cannot escalate, for whoever awaits the supervisor was promised which ones do.
   * Dies on a specification that the supervisor could not have had from its start.
   *
   * Interrupted, this operation and those below leave what they asked for to be done.
   */
  readonly startChild: <R>(
    spec: ChildSpec<string, RestartIntensityExceeded, R>
  ) => Effect.Effect<ChildInfo, ChildAlreadyPresent | ChildRunning | SupervisorClosed, R>
  /** Stops a child, which is kept, so that it can be started again, unless it is temporary. */
  readonly terminateChild: (id: string) => Effect.Effect<void, ChildNotFound | SupervisorClosed>
  /**
   * Starts a child that is stopped or parked, and waits as {@link startChild} does. No restart, as the intensity
   * counts them; the child's own intensity begins anew.
   */
  readonly restartChild: (
    id: string
  ) => Effect.Effect<ChildInfo, ChildNotFound | ChildRunning | SupervisorClosed>
  /** Forgets a child that is stopped or parked. */
  readonly deleteChild: (id: string) => Effect.Effect<void, ChildNotFound | ChildRunning | SupervisorClosed>
}

/**
 * Starts a supervisor, which runs until its scope closes. Succeeds when every child has started or is not to
 * be; fails when the supervisor gave up before that. Dies on a child id used twice, on a significant child
 * without `autoShutdown`, on a supervisor nested in itself, on a `maxRestarts` that is no natural number, and on
 * a period that is not positive.
 *
 * - `name`: names the supervisor in events and errors. `supervisor` by default.
 * - `children`: started in this order, each when the one before it has started; stopped in reverse.
 * - `maxRestarts`, `period`: one restart more than this within the period ends the supervisor with
 *   {@link RestartIntensityExceeded}. 3 in 5 seconds by default. Restarts of all children count, by every
 *   decision, at the time of the decision, but those that a child's own `intensity` counts.
 * - `autoShutdown`: `never` by default.
 *
 * A child is stopped by interrupting it. One that has not ended when its shutdown timeout is over is reported
 * (`ChildAbandoned`) and left behind, so that the others are stopped too. A child that somebody else
 * interrupts ended abnormally: it is restarted unless it is temporary.
 *
 * **Source** OTP `supervisor`. Different from there: a child that ends while it is being started is treated
 * as one that ends later. `docs/guides/supervision.md` has the rules.
 *
 * @example
 * ```ts
 * import * as Supervisor from "@holdfast/core/Supervisor"
 * import * as Effect from "effect/Effect"
 *
 * export const program = Effect.scoped(Effect.gen(function*() {
 *   const supervisor = yield* Supervisor.make({
 *     strategy: "one_for_one",
 *     children: [
 *       Supervisor.child({ id: "beat", start: Effect.forever(Effect.delay(Effect.log("on"), "1 second")) })
 *     ]
 *   })
 *   yield* supervisor.await
 * }))
 * ```
 */
export function make<Spec extends ChildSpec<string, unknown, unknown>>(
  options: Options<Spec>
): Effect.Effect<
  Supervisor<EscalatedBy<Spec>>,
  RestartIntensityExceeded | EscalatedBy<Spec>,
  RequiredBy<Spec> | Scope.Scope
>
export function make<E, R>(
  options: Options<ChildSpec<string, E, R>>
): Effect.Effect<Supervisor<E>, RestartIntensityExceeded | E, R | Scope.Scope> {
  return Effect.gen(function*() {
    const state = yield* Supervision.makeState<E, R>(options)
    yield* Supervision.start(state)
    return {
      name: state.name,
      await: Deferred.await(state.ended),
      events: ChildRun.events(state),
      whichChildren: Effect.sync(() => Array.from(state.children.values(), SupervisedChild.childInfo)),
      countChildren: Effect.sync(() => SupervisedChild.count(state.children.values())),
      tree: Effect.sync(() => SupervisedChild.tree(state)),
      startChild: (spec) => Operations.startChild(state, spec),
      terminateChild: (id) => Operations.terminateChild(state, id),
      restartChild: (id) => Operations.restartChild(state, id),
      deleteChild: (id) => Operations.deleteChild(state, id)
    }
  })
}

/**
 * Specifies a child that is a supervisor. It has started when its children have.
 *
 * - `id`, `restart`, `significant`, `intensity`: those of any child.
 * - `shutdown`: `infinity` by default, so that the children below have the time they may take.
 * - `onFailure`: what follows what its children escalate to it, for each tag. Where it says nothing about
 *   `RestartIntensityExceeded`, the supervisor is started again if it is permanent, and left stopped otherwise.
 * - the other options are those of {@link make}; `name` is `id` by default.
 *
 * **Source** OTP `supervisor`: child type `supervisor`; one that gives up exits with `shutdown`, after which
 * only a permanent child is restarted.
 *
 * @example
 * ```ts
 * import * as Supervisor from "@holdfast/core/Supervisor"
 * import type * as Effect from "effect/Effect"
 *
 * declare const accept: Effect.Effect<never>
 * declare const answer: Effect.Effect<never>
 *
 * export const web = Supervisor.supervisor({
 *   id: "web",
 *   strategy: "rest_for_one",
 *   children: [
 *     Supervisor.child({ id: "answers", start: answer }),
 *     Supervisor.child({ id: "connections", start: accept })
 *   ]
 * })
 * ```
 */
export function supervisor<
  const Id extends string,
  Spec extends ChildSpec<string, unknown, unknown>,
  const D extends NestedDecisions<EscalatedBy<Spec>> =
    & {}
    & Decisions<Exclude<EscalatedBy<Spec>, RestartIntensityExceeded>>
>(
  options: Options<Spec> & ChildOptions & { readonly id: Id } & NestedOnFailure<EscalatedBy<Spec>, D>
): ChildSpec<Id, Escalated<RestartIntensityExceeded | EscalatedBy<Spec>, D>, RequiredBy<Spec>>
export function supervisor<R>(
  options: Options<ChildSpec<string, Tagged, R>> & ChildOptions & {
    readonly id: string
    readonly onFailure?: ErasedDecisions
  }
): ChildSpec<string, Tagged, R> {
  const { id, restart = "permanent" } = options
  const run = ChildSpecs.withReady((ready) =>
    Effect.flatMap(
      make({ ...options, name: options.name ?? id }),
      (nested) => Effect.zipRight(ready, nested.await)
    )
  )
  const spec = ChildSpecs.unsafeChild({
    ...options,
    start: run,
    shutdown: options.shutdown ?? "infinity",
    onFailure: {
      RestartIntensityExceeded: restart === "permanent" ? "restart" : "stop",
      ...options.onFailure
    }
  })
  return { ...spec, nested: options.children }
}

/**
 * Starts a supervisor with the layer and stops it with it. The tag names the supervisor and the failures it
 * may end with; the program awaits it to end with it. Options, failures and defects are those of
 * {@link make}.
 *
 * @example
 * ```ts
 * import * as Supervisor from "@holdfast/core/Supervisor"
 * import * as Context from "effect/Context"
 * import * as Effect from "effect/Effect"
 *
 * class Workers extends Context.Tag("app/Workers")<Workers, Supervisor.Supervisor>() {}
 *
 * const WorkersLayer = Supervisor.layer(Workers, {
 *   strategy: "one_for_one",
 *   children: [Supervisor.child({ id: "worker", start: Effect.never })]
 * })
 *
 * export const main = Effect.provide(Effect.flatMap(Workers, (workers) => workers.await), WorkersLayer)
 * ```
 */
export const layer = <I, E, Spec extends ChildSpec<string, E, unknown>>(
  tag: Context.Tag<I, Supervisor<E>>,
  options: Options<Spec>
): Layer.Layer<I, RestartIntensityExceeded | EscalatedBy<Spec>, Exclude<RequiredBy<Spec>, Scope.Scope>> =>
  Layer.scoped(tag, make(options))
