import * as Effect from "effect/Effect"
import * as Supervisor from "../Supervisor.ts"

/**
 * Runs a program that never ends under a supervisor of its own: a crash runs it again. When it crashes more often than the
 * supervisor allows (3 restarts in 5 seconds), `givenUp` is run instead.
 */
export const supervised = (
  id: string,
  program: Effect.Effect<never>,
  givenUp: Effect.Effect<void>
): Effect.Effect<void> =>
  Supervisor.make({
    name: id,
    strategy: "one_for_one",
    children: [Supervisor.child({ id, start: program })]
  }).pipe(
    Effect.flatMap((supervisor) => supervisor.await),
    Effect.scoped,
    Effect.catchTag("RestartIntensityExceeded", () => givenUp)
  )
