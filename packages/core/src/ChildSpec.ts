/**
 * A child specification says what a supervised child runs, what follows when it ends, and how long it may
 * take to stop.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Backoff } from "./Backoff.ts"
import { givenContext } from "./internal/givenContext.ts"
import { unsafeDuration } from "./internal/unsafeDuration.ts"
import type { Decision, RestartKind, Verdict } from "./RestartDecision.ts"
import { decide } from "./RestartDecision.ts"
import type { ChildIntensity, RestartIntensityExceeded } from "./RestartIntensity.ts"
import { unsafeMakeChild } from "./RestartIntensity.ts"

/**
 * The time a child may take to stop when its specification names none: 5 seconds. **Source** OTP
 * `supervisor`.
 */
export const defaultShutdown: Duration.Duration = Duration.seconds(5)

/** Is an error that can be decided on: it has a `_tag`. */
export interface Tagged {
  readonly _tag: string
}

/**
 * Specifies a child. `E` are the typed failures it may escalate, `R` what it needs beside its own `Scope`.
 * Made by {@link child}.
 */
export interface ChildSpec<out Id extends string, out E, out R> {
  readonly id: Id
  readonly restart: RestartKind
  readonly shutdown: Duration.Duration
  /** Whether its end may end the supervisor. See `autoShutdown` of `Supervisor.make`. */
  readonly significant: boolean
  /** Counts the child's restarts instead of the supervisor's intensity, which counts them where this is null. */
  readonly intensity: ChildIntensity | null
  /** The children of a child that is a supervisor; null of a worker. */
  readonly nested: ReadonlyArray<ChildSpec<string, unknown, unknown>> | null
  /**
   * Runs the child once, in a scope that is closed before the run ends. For the first effect of a fiber that nobody
   * joins: it leaves that fiber with the child's context.
   */
  readonly start: (ready: Effect.Effect<void>) => Effect.Effect<unknown, Tagged, R>
  /** Decides what follows the end of a run. */
  readonly decide: (exit: Exit.Exit<unknown, Tagged>) => Verdict<E>
}

/** Is a child's program, or one that says itself when it has started. */
export type Start<A, E, R> = Effect.Effect<A, E, R> | WithReady<A, E, R>

/** Is a program made from the effect by which it says that it has started. Made by {@link withReady}. */
export interface WithReady<out A, out E, out R> {
  readonly _tag: "WithReady"
  readonly program: (ready: Effect.Effect<void>) => Effect.Effect<A, E, R>
}

/** Are the options that any child may have. See {@link child}. */
export interface ChildOptions {
  readonly restart?: RestartKind
  readonly shutdown?: Duration.DurationInput | "infinity" | "immediate"
  readonly significant?: boolean
  readonly intensity?: {
    readonly maxRestarts: number
    readonly period: Duration.DurationInput
    readonly backoff?: Backoff
    readonly exceeded?: "escalate" | "park"
  }
}

/** Holds one decision, or a function to one, for each tag in `E`. */
export type Decisions<E> = {
  readonly [T in Extract<E, Tagged>["_tag"]]:
    | Decision
    | ((error: Extract<E, { readonly _tag: T }>) => Decision)
}

/**
 * Is the `onFailure` option a child with the failures `E` must have: total, with no tag too many.
 *
 * TypeScript looks at it a first time before it has inferred `E` and `R`, both `unknown` then, where the
 * program is built in place by a function that is dual. It must not refuse that early.
 */
export type OnFailure<E, R, D> = IsAny<E & R> extends false
  ? unknown extends E & R ? { readonly onFailure?: unknown } : Decided<E, D>
  : Decided<E, D>

/** Holds the decisions on what a nested supervisor fails with: what its children escalate, and that it gave up. */
export type NestedDecisions<E> =
  & Decisions<Exclude<E, RestartIntensityExceeded>>
  & Partial<Decisions<RestartIntensityExceeded>>

/** Is the `onFailure` option of a nested supervisor whose children escalate `E`. */
export type NestedOnFailure<E, D> = [Exclude<E, RestartIntensityExceeded>] extends [never]
  ? { readonly onFailure?: D & NoExtra<D, "RestartIntensityExceeded"> }
  : {
    readonly onFailure: D & NoExtra<D, Extract<E | RestartIntensityExceeded, Tagged>["_tag"]>
  }

/** Is what {@link unsafeChild} takes. */
export interface ErasedChild<R> extends ChildOptions {
  readonly id: string
  readonly start: Start<unknown, Tagged, R>
  readonly onFailure?: ErasedDecisions
}

/** Holds decisions by tag, for errors that are not known. */
export type ErasedDecisions = Readonly<Record<string, Decision | ((error: Tagged) => Decision)>>

/** Picks the failures of `E` that the decisions `D` may escalate. */
export type Escalated<E, D> = E extends Tagged
  ? E["_tag"] extends keyof D ? "escalate" extends Outcome<D[E["_tag"]]> ? E : never : never
  : never

/** Picks the typed failures that a child of the specification may escalate. */
export type EscalatedBy<Spec> = Spec extends ChildSpec<string, infer E, unknown> ? E : never

/** Picks what a child of the specification needs. */
export type RequiredBy<Spec> = Spec extends ChildSpec<string, unknown, infer R> ? R : never

/**
 * Makes a child's program from the effect `ready`. The child counts as started once the program has run it,
 * and the children after it are started only then: a program that never does holds them back until it ends
 * for good.
 */
export const withReady = <A, E, R>(
  program: (ready: Effect.Effect<void>) => Effect.Effect<A, E, R>
): WithReady<A, E, R> => ({ _tag: "WithReady", program })

/**
 * Specifies a child.
 *
 * - `start`: the child's program. A `Scope` it uses is its own, closed before the child is started again. The
 *   child counts as started when its fiber runs, or when it says so (see {@link withReady}).
 * - `restart`: `permanent` by default.
 * - `shutdown`: how long the child may take to stop after it was interrupted. 5 seconds by default;
 *   `infinity` waits for as long as it takes, `immediate` for nothing that takes time.
 * - `significant`: false by default. Only a transient or a temporary child may be.
 * - `intensity`: counts this child's restarts alone, instead of the supervisor's intensity. `backoff` delays
 *   them. Past it the supervisor gives up, or parks the child where `exceeded` is `park`.
 * - `onFailure`: a {@link Decision} for each tag of the program's typed failures, or a function from the
 *   failure to one. Refused where a tag is missing, unknown, or not a literal. A function that throws ends
 *   the supervisor with that defect. A function beside a `start` that is built in place by a dual function
 *   (`Effect.delay(program, "1 second")`) has to name the type of its parameter.
 *
 * @example
 * ```ts
 * import * as Supervisor from "@holdfast/core/Supervisor"
 * import * as Data from "effect/Data"
 * import type * as Effect from "effect/Effect"
 *
 * class Busy extends Data.TaggedError("Busy")<{}> {}
 * class BadConfig extends Data.TaggedError("BadConfig")<{}> {}
 * declare const poll: Effect.Effect<never, Busy | BadConfig>
 *
 * export const poller = Supervisor.child({
 *   id: "poller",
 *   start: poll,
 *   onFailure: { Busy: Supervisor.restartAfter("1 second"), BadConfig: "escalate" }
 * })
 * ```
 */
export function child<
  const Id extends string,
  A,
  E,
  R,
  const D extends Decisions<E> = {} & Decisions<E>
>(
  options:
    & {
      readonly id: Id
      readonly start: Start<A, E, R>
    }
    & ChildOptions
    & OnFailure<E, NoInfer<R>, D>
): ChildSpec<Id, NoInfer<Escalated<E, D>>, Exclude<R, Scope.Scope>>
export function child<R>(options: ErasedChild<R>): ChildSpec<string, Tagged, Exclude<R, Scope.Scope>> {
  return unsafeChild(options)
}

/** Specifies a child as {@link child} does, its decisions unchecked: a tag without one is a defect. */
export const unsafeChild = <R>(
  options: ErasedChild<R>
): ChildSpec<string, Tagged, Exclude<R, Scope.Scope>> => {
  const { id, intensity, onFailure = {}, restart = "permanent", significant = false, start } = options
  if (significant && restart === "permanent") {
    throw new Error(`Child "${id}" cannot be significant: it is permanent, so it never ends for good`)
  }
  const decideFailure = (error: Tagged) => decisionOn(id, onFailure, error)
  return {
    id,
    restart,
    shutdown: shutdownDuration(options.shutdown ?? defaultShutdown),
    significant,
    intensity: intensity === undefined ? null : unsafeMakeChild(intensity),
    nested: null,
    start: (ready) =>
      inOwnScope(
        Effect.isEffect(start) ? Effect.zipRight(ready, start) : Effect.suspend(() => start.program(ready))
      ),
    decide: (exit) => decide(restart, decideFailure, exit)
  }
}

// internal

type IsAny<T> = 0 extends 1 & T ? true : false

type Decided<E, D> = IsAny<E> extends true
  ? { readonly onFailure: { readonly "the error type is any; name its errors first": never } }
  : [E] extends [never] ? { readonly onFailure?: never }
  : [Untagged<E>] extends [never] ? { readonly onFailure: D & NoExtra<D, Extract<E, Tagged>["_tag"]> }
  : { readonly onFailure: { readonly "every error needs a literal _tag; map this one first": Untagged<E> } }

type Untagged<E> = E extends { readonly _tag: infer T extends string } ? string extends T ? E : never : E

type NoExtra<D, Tags extends PropertyKey> = { readonly [Extra in Exclude<keyof D, Tags>]: never }

type Outcome<D> = D extends (error: never) => infer Chosen ? Chosen : D

const inOwnScope = <A, E, R>(
  program: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Scope.Scope>> =>
  Effect.contextWithEffect((context: Context.Context<Exclude<R, Scope.Scope>>) =>
    Effect.flatMap(Scope.make(), (scope) =>
      givenContext(
        Effect.onExit(program, (exit) => Scope.close(scope, exit)),
        Context.add(context, Scope.Scope, scope) as Context.Context<R>
      ))
  )

const shutdownDuration = (shutdown: Duration.DurationInput | "infinity" | "immediate"): Duration.Duration => {
  if (shutdown === "infinity") return Duration.infinity
  return shutdown === "immediate" ? Duration.zero : unsafeDuration("shutdown", shutdown)
}

const decisionOn = (id: string, onFailure: ErasedDecisions, error: Tagged): Decision => {
  const decision = onFailure[error._tag]
  if (decision === undefined) {
    throw new Error(`Child "${id}" failed with "${error._tag}", which its type does not name`)
  }
  return typeof decision === "function" ? decision(error) : decision
}
