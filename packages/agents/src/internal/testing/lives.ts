/**
 * The lives of a process, each with a runtime of its own over one storage, from its start to its end or its crash.
 */
import type { RecordStore } from "@holdfast/core/RecordStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as AgentRuntime from "../../AgentRuntime.ts"
import type { AgentStore } from "../../AgentStore.ts"
import type { CommitLog } from "../../CommitLog.ts"
import * as FaultyCommitLog from "../../FaultyCommitLog.ts"
import * as Memory from "../../Memory.ts"
import type { TaskStore } from "../../TaskStore.ts"
import type { ModelViolated } from "../../testing/ModelViolated.ts"
import type { Ports, Simulation } from "./Simulation.ts"
import type { VirtualClock } from "./VirtualClock.ts"

/** Is what handlers are given of the storage. */
type Stored = AgentStore | CommitLog | RecordStore | TaskStore | FaultyCommitLog.FaultyCommitLog

/** Is what handlers need beside a runtime and storage. */
export type Missing<RX> = Exclude<Exclude<RX, AgentRuntime.AgentRuntime>, Stored>

/**
 * Lives through a simulation, and once more to read what it left, on an empty storage and its own clock. Yields how many
 * commits there were; the plan counts them through all lives.
 */
export const live = <EX, RX>(
  simulation: Simulation,
  handlers: Layer.Layer<never, EX, RX>,
  plan: FaultyCommitLog.Plan
): Effect.Effect<number, EX | ModelViolated, Missing<RX>> =>
  Effect.gen(function*() {
    let commits = 0
    const counted: FaultyCommitLog.Plan = (_, operations) => plan(++commits, operations)
    const storage = Memory.storage()
    const faulty = Layer.provideMerge(FaultyCommitLog.layer(counted), Memory.layerFrom(storage))
    const goOn = Effect.zipRight(simulation.recover, simulation.perform)
    let isLast = false
    for (let next = simulation.perform;;) {
      const ended = yield* life(simulation.clock, next, handlers, faulty)
      if (isLast && ended === "done") return commits
      isLast = isLast || ended === "done"
      next = ended === "crashed" ? goOn : simulation.perform
    }
  }).pipe(Effect.withClock(simulation.clock))

// internal

/** What a dead log never answers is not waited for. */
const runtime = AgentRuntime.layerWith({ drainTimeout: "1 second" })

const life = <E, EX, RX>(
  clock: VirtualClock,
  program: Effect.Effect<boolean, E, Ports>,
  handlers: Layer.Layer<never, EX, RX>,
  faulty: Layer.Layer<Stored>
) =>
  Effect.acquireUseRelease(
    Scope.make(),
    (scope) =>
      Effect.gen(function*() {
        const storage = yield* Layer.buildWithScope(faulty, scope)
        const agents = handlers.pipe(
          Layer.provideMerge(runtime),
          Layer.provideMerge(Layer.succeedContext(storage))
        )
        const running = Effect.flatMap(
          Layer.buildWithScope(agents, scope),
          (context) => Effect.provide(program, context)
        )
        return yield* Effect.raceFirst(
          Effect.disconnect(Effect.map(running, (isReopened) => (isReopened ? "reopened" : "done"))),
          Effect.as(Context.get(storage, FaultyCommitLog.FaultyCommitLog).crashed, "crashed")
        )
      }),
    // How a dead process would have come to its end is of no account.
    (scope, exit) => Effect.interruptible(Effect.exit(clock.drive(Scope.close(scope, exit))))
  )
