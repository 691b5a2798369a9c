/**
 * The two signals by which somebody asks a batch to stop, as effects.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import process from "node:process"

/** Signals that this process gets while the scope is open. */
export interface Interruption {
  /** Completes at the first SIGINT or SIGTERM: finish what runs, start nothing new. */
  readonly first: Effect.Effect<void>
  /** Completes at the second: stop at once. */
  readonly second: Effect.Effect<void>
}

/** Listens in place of the process's default, which is to end. */
export const listen: Effect.Effect<Interruption, never, Scope.Scope> = Effect.gen(function*() {
  const first = yield* Deferred.make<void>()
  const second = yield* Deferred.make<void>()
  let count = 0
  const heard = () => {
    count += 1
    Deferred.unsafeDone(count === 1 ? first : second, Effect.void)
  }
  const signals = ["SIGINT", "SIGTERM"] as const
  yield* Effect.acquireRelease(
    Effect.sync(() => signals.forEach((signal) => process.on(signal, heard))),
    () => Effect.sync(() => signals.forEach((signal) => process.off(signal, heard)))
  )
  return { first: Deferred.await(first), second: Deferred.await(second) }
})
