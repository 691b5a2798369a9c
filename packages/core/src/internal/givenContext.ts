import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"

/**
 * Runs an effect with a context, for good. For the first effect of a fiber that nobody joins: there is nothing that
 * needs the context before, and to restore it costs more than to fork the fiber.
 */
export const givenContext = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  context: Context.Context<R>
): Effect.Effect<A, E> =>
  Effect.zipRight(FiberRef.set(FiberRef.currentContext, context), effect as Effect.Effect<A, E>)
