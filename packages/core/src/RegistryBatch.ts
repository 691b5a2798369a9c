/**
 * A registry batch is several operations applied in order, with what follows when one of them fails.
 */
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { RegistryRuntime } from "./internal/RegistryRuntime.ts"
import { transact } from "./internal/RegistryRuntime.ts"
import * as RegistryOperation from "./RegistryOperation.ts"
import type { RegistryState } from "./RegistryState.ts"

/** Says what follows when one of several operations fails. `rollback`: none of them has any effect. */
export type OnError = "stop" | "continue" | "rollback"

/**
 * Says what became of one of several operations. `RolledBack`: it applied until a later one failed. `Skipped`: it was not
 * tried because an earlier one failed.
 */
export type Outcome<Value, Metadata> =
  | { readonly _tag: "Applied"; readonly result: RegistryOperation.Result<Value, Metadata> }
  | { readonly _tag: "Failed"; readonly error: RegistryOperation.OperationError }
  | { readonly _tag: "RolledBack" }
  | { readonly _tag: "Skipped" }

/** Says what became of several operations: an outcome for each, in order, and the place of the one that ended them. */
export interface Report<Value, Metadata> {
  readonly outcomes: ReadonlyArray<Outcome<Value, Metadata>>
  readonly stoppedAt: Option.Option<number>
}

/** Applies one operation for the scope that asks. */
export const applyOne = <Value, Metadata, Op, Did, E>(
  runtime: RegistryRuntime<Value, Metadata>,
  apply: (
    state: RegistryState<Value, Metadata>,
    operation: Op,
    owner: object
  ) => Either.Either<RegistryOperation.Applied<Value, Metadata, Did>, E>,
  operation: Op
): Effect.Effect<Did, E, Scope.Scope> => transact(runtime, (state, owner) => apply(state, operation, owner))

/** Applies operations for the scope that asks, all of them or none. */
export const applyAll = <Value, Metadata>(
  runtime: RegistryRuntime<Value, Metadata>,
  operations: ReadonlyArray<RegistryOperation.Operation<Value, Metadata>>
) => transact(runtime, (state, owner) => RegistryOperation.applyAll(state, operations, owner))

/** Applies operations for the scope that asks. One that is interrupted has applied those before it. */
export const run = <Value, Metadata>(
  runtime: RegistryRuntime<Value, Metadata>,
  operations: ReadonlyArray<RegistryOperation.Operation<Value, Metadata>>,
  onError: OnError
): Effect.Effect<Report<Value, Metadata>, never, Scope.Scope> =>
  onError === "rollback" ? rollingBack(runtime, operations) : oneByOne(runtime, operations, onError)

// internal

const rollingBack = <Value, Metadata>(
  runtime: RegistryRuntime<Value, Metadata>,
  operations: ReadonlyArray<RegistryOperation.Operation<Value, Metadata>>
): Effect.Effect<Report<Value, Metadata>, never, Scope.Scope> =>
  Effect.match(applyAll(runtime, operations), {
    onSuccess: (results) => ({
      outcomes: results.map((result): Outcome<Value, Metadata> => ({ _tag: "Applied", result })),
      stoppedAt: Option.none()
    }),
    onFailure: ({ error, index }) => ({
      outcomes: operations.map((_, at): Outcome<Value, Metadata> => {
        if (at === index) return { _tag: "Failed", error }
        return { _tag: at < index ? "RolledBack" : "Skipped" }
      }),
      stoppedAt: Option.some(index)
    })
  })

const oneByOne = <Value, Metadata>(
  runtime: RegistryRuntime<Value, Metadata>,
  operations: ReadonlyArray<RegistryOperation.Operation<Value, Metadata>>,
  onError: "stop" | "continue"
): Effect.Effect<Report<Value, Metadata>, never, Scope.Scope> =>
  Effect.suspend(() => {
    let stoppedAt = Option.none<number>()
    const applyNext = (operation: RegistryOperation.Operation<Value, Metadata>, index: number) =>
      Option.isSome(stoppedAt)
        ? Effect.succeed<Outcome<Value, Metadata>>({ _tag: "Skipped" })
        : Effect.match(applyOne(runtime, RegistryOperation.apply<Value, Metadata>, operation), {
          onSuccess: (result): Outcome<Value, Metadata> => ({ _tag: "Applied", result }),
          onFailure: (error): Outcome<Value, Metadata> => {
            if (onError === "stop") stoppedAt = Option.some(index)
            return { _tag: "Failed", error }
          }
        })
    return Effect.map(Effect.forEach(operations, applyNext), (outcomes) => ({ outcomes, stoppedAt }))
  })
