/**
 * What supervision costs: a child started and stopped, and started again after a crash, beside bare fibers.
 */
import * as Supervisor from "@holdfast/core/Supervisor"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Contestant } from "./Measure.ts"

const count = 5_000

/** The contestants. */
export const contestants = (): ReadonlyArray<Contestant> => [
  contestant("forkScoped, start + stop", repeated(Effect.scoped(Effect.forkScoped(waiting)))),
  contestant("supervised child, start + stop", startAndStop),
  contestant("forkScoped, together", Effect.scoped(repeated(Effect.forkScoped(waiting)))),
  contestant("supervised children, together", together),
  contestant("forkScoped, crash", crashed),
  contestant("supervised child, crash", restarted)
]

const contestant = (name: string, work: Effect.Effect<unknown>): Contestant => ({
  name,
  run: () => Effect.runPromise(Effect.as(work, count))
})

const repeated = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<void, E, R> =>
  Effect.asVoid(Effect.repeatN(work, count - 1))

const waiting = Effect.never

const child = (index: number) => Supervisor.child({ id: `${index}`, start: waiting })

const startAndStop = Effect.scoped(Effect.gen(function*() {
  const supervisor = yield* Supervisor.make({ strategy: "one_for_one", children: [] })
  const spec = Supervisor.child({ id: "a", start: waiting, restart: "temporary" })
  yield* repeated(Effect.zipRight(supervisor.startChild(spec), supervisor.terminateChild("a")))
})).pipe(Effect.orDie)

const together = Effect.suspend(() =>
  Effect.scoped(Supervisor.make({
    strategy: "one_for_one",
    children: Array.from({ length: count }, (_, index) => child(index))
  }))
).pipe(Effect.orDie)

const crash = Effect.die(new Error("bug"))

const crashed: Effect.Effect<void> = Effect.scoped(
  repeated(
    Effect.flatMap(
      Effect.forkScoped(crash),
      (fiber): Effect.Effect<unknown, never, Scope.Scope> => Fiber.await(fiber)
    )
  )
)

const restarted = Effect.scoped(Effect.gen(function*() {
  const done = yield* Deferred.make<void>()
  let runs = 0
  const start = Effect.suspend(() =>
    runs++ < count ? crash : Effect.zipRight(Deferred.succeed(done, undefined), Effect.never)
  )
  yield* Supervisor.make({
    strategy: "one_for_one",
    children: [Supervisor.child({ id: "a", start })],
    maxRestarts: count,
    period: "1 millis"
  })
  yield* Deferred.await(done)
})).pipe(Effect.orDie)
