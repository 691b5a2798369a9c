/**
 * A property of scripts: run for many of them, and for ever shorter ones when it fails.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as FiberSet from "effect/FiberSet"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { ModelViolated } from "../../testing/ModelViolated.ts"

/** How many scripts, and which. */
export interface Runs {
  readonly numRuns?: number
  readonly seed?: number
  readonly path?: string
}

/**
 * Fails as the shortest failing run does that is found: leaving out any of its actions, it does not fail. Its runs log
 * nothing, since there are many.
 */
export const forAll = <A, E, R>(
  arbitrary: FastCheck.Arbitrary<ReadonlyArray<A>>,
  run: (script: ReadonlyArray<A>) => Effect.Effect<void, E, R>,
  { numRuns, path, seed }: Runs & { readonly numRuns: number }
): Effect.Effect<void, E | ModelViolated, R> =>
  Effect.gen(function*() {
    const toPromise = yield* FiberSet.makeRuntimePromise<R>()
    let failed: Failed<A, E> | null = null
    const property = FastCheck.asyncProperty(arbitrary, async (script) => {
      const exit = await toPromise(Effect.exit(run(script)))
      if (Exit.isFailure(exit)) failed = { script, exit }
      return Exit.isSuccess(exit)
    })
    const details = yield* Effect.promise(() =>
      FastCheck.check(property, {
        numRuns,
        ...(seed === undefined ? {} : { seed }),
        ...(path === undefined ? {} : { path })
      })
    )
    if (failed === null) return
    const { exit } = yield* shortest(failed, run)
    return yield* Effect.mapError(exit, withSeed(details.seed, details.counterexamplePath))
  }).pipe(Effect.scoped, Logger.withMinimumLogLevel(LogLevel.None))

// internal

interface Failed<A, E> {
  readonly script: ReadonlyArray<A>
  readonly exit: Exit.Exit<void, E>
}

/** Later actions first, since they stand on earlier ones. */
const shortest = <A, E, R>(
  failed: Failed<A, E>,
  run: (script: ReadonlyArray<A>) => Effect.Effect<void, E, R>
): Effect.Effect<Failed<A, E>, never, R> =>
  Effect.gen(function*() {
    let best = failed
    for (let index = best.script.length - 1; index >= 0; index--) {
      const script = best.script.filter((_, at) => at !== index)
      const exit = yield* Effect.exit(run(script))
      if (Exit.isFailure(exit)) best = { script, exit }
    }
    return best
  })

const withSeed = (seed: number, path: string | null) => <E>(error: E): E | ModelViolated =>
  error instanceof ModelViolated ? new ModelViolated({ ...error, seed, path }) : error
