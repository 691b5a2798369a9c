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
import * as Stream from "effect/Stream"
import type { ChildSpec, EscalatedBy, RequiredBy } from "./ChildSpec.ts"
import * as Supervision from "./internal/Supervision.ts"
import type { RestartIntensityExceeded } from "./RestartIntensity.ts"
import type { SupervisorEvent } from "./SupervisorEvent.ts"

export { child, withReady } from "./ChildSpec.ts"
export { restartAfter } from "./RestartDecision.ts"
export { RestartIntensityExceeded } from "./RestartIntensity.ts"

/** Says what a supervisor restarts when a child ends. `one_for_one`: that child alone. */
export type Strategy = "one_for_one"

/** Says where a child is: on its way to be started or restarted, running, or not to be started again. */
export type ChildStatus = "starting" | "running" | "stopped"

/** Describes a child of a supervisor. `restarts` counts from the supervisor's start. */
export interface ChildInfo {
  readonly id: string
  readonly status: ChildStatus
  readonly restarts: number
}

/** Says what a supervisor runs and how. See {@link make}. */
export interface Options<Spec> {
  readonly name?: string
  readonly strategy: Strategy
  readonly children: ReadonlyArray<Spec>
  readonly maxRestarts?: number
  readonly period?: Duration.DurationInput
}

/** A running supervisor. `E` are the typed failures its children may escalate. */
export interface Supervisor<out E = never> {
  readonly name: string
  /**
   * Waits until the supervisor has ended and stopped its children. Succeeds when its scope was closed, fails
   * when it gave up, dies when a decision function of a child threw.
   */
  readonly await: Effect.Effect<void, RestartIntensityExceeded | E>
  /**
   * The events of the supervisor, beginning with the latest 256 before the subscription, ending when the
   * supervisor has. A subscriber more than 256 events behind misses the oldest; it never delays the
   * supervisor.
   */
  readonly events: Stream.Stream<SupervisorEvent>
  /** The children in the order in which they are started, with those that are not to be started again. */
  readonly whichChildren: Effect.Effect<ReadonlyArray<ChildInfo>>
}

/**
 * Starts a supervisor, which runs until its scope closes. Succeeds when every child has started or is not to
 * be; fails when the supervisor gave up before that. Dies on a child id used twice, on a `maxRestarts` that
 * is no natural number, and on a period that is not positive.
 *
 * - `name`: names the supervisor in events and errors. `supervisor` by default.
 * - `children`: started in this order, each when the one before it has started; stopped in reverse.
 * - `maxRestarts`, `period`: one restart more than this within the period ends the supervisor with
 *   {@link RestartIntensityExceeded}. 3 in 5 seconds by default. Restarts of all children count, by every
 *   decision, at the time of the decision.
 *
 * A child is stopped by interrupting it. One that has not ended when its shutdown timeout is over is reported
 * (`ChildAbandoned`) and left behind, so that the others are stopped too. A child that somebody else
 * interrupts ended abnormally: it is restarted unless it is temporary.
 *
 * **Source** OTP `supervisor`. Different from there: a child that ends while it is being started is treated
 * as one that ends later.
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
    const state = yield* Supervision.makeState(options)
    yield* Supervision.start(state)
    return {
      name: state.name,
      await: Deferred.await(state.ended),
      events: Stream.takeUntil(
        Stream.fromPubSub(state.events),
        (event) => event._tag === "SupervisorStopped"
      ),
      whichChildren: Effect.sync(() => state.children.map(Supervision.childInfo))
    }
  })
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
