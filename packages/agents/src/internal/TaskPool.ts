/**
 * A task pool is the workers of a task agent: a child of its present life, started again in its next one.
 */
import type { ChildSpec } from "@holdfast/core/ChildSpec"
import * as Supervisor from "@holdfast/core/Supervisor"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { AgentError } from "../AgentError.ts"
import type { Handle } from "../AgentHandle.ts"
import type { CommitLog } from "../CommitLog.ts"
import type { ClaimedTask } from "../Task.ts"
import type { TaskQueue } from "../TaskQueue.ts"
import type { TaskStore } from "../TaskStore.ts"
import * as TaskWorkers from "../TaskWorkers.ts"

/** How long it waits before it tries again to start workers that could not be started. */
const keepPause = "1 second"

/** The workers of one task agent in this process: at most one pool runs at a time. */
export interface TaskPool {
  readonly child: ChildSpec<"workers", never, never>
  /** Open while no pool runs. */
  readonly idle: Effect.Latch
}

/** Makes what starts workers. */
export const make = <P, A, E, R>(
  queue: TaskQueue<P, A, E>,
  run: (payload: P, task: ClaimedTask) => Effect.Effect<A, E, R>,
  concurrency: number
): Effect.Effect<TaskPool, never, CommitLog | TaskStore | R> =>
  Effect.gen(function*() {
    const given = yield* Effect.context<R>()
    const ports = yield* Effect.context<CommitLog | TaskStore>()
    const provided = (payload: P, task: ClaimedTask): Effect.Effect<A, E> =>
      Effect.mapInputContext(run(payload, task), (own: Context.Context<never>) => Context.merge(given, own))
    const idle = yield* Effect.makeLatch(true)
    const work = (ready: Effect.Effect<void>) =>
      TaskWorkers.make(queue, provided, { concurrency }).pipe(
        Effect.flatMap((workers) => Effect.zipRight(ready, workers.await)),
        Effect.scoped,
        Effect.provide(ports)
      )
    const child = Supervisor.child({
      id: "workers",
      start: Supervisor.withReady((ready) =>
        // Those of an earlier life may still be stopping.
        Effect.zipRight(idle.await, Effect.acquireUseRelease(idle.close, () => work(ready), () => idle.open))
      ),
      shutdown: "infinity",
      onFailure: { RestartIntensityExceeded: Supervisor.restartAfter(keepPause) }
    })
    return { child, idle }
  })

/** Starts the workers in the present life of the agent; says whether it did, or they were there. */
export const start = <S>(pool: TaskPool, agent: Handle<S>): Effect.Effect<boolean, AgentError> =>
  agent.spawn(pool.child).pipe(
    Effect.as(true),
    Effect.catchTags({
      ChildAlreadyPresent: () => Effect.succeed(false),
      MaxChildrenReached: () => Effect.succeed(false),
      SupervisorClosed: () => Effect.succeed(false)
    })
  )

/** Has the agent start its workers whenever there are none, as soon as it can: it may be parked, or elsewhere. */
export const keep = (pool: TaskPool, work: Effect.Effect<boolean, AgentError>): Effect.Effect<never> =>
  Effect.forever(
    Effect.flatMap(
      Effect.catchAll(work, (error) => Effect.as(Effect.logDebug(error.message), false)),
      (started) => started ? pool.idle.await : Effect.sleep(keepPause)
    )
  )
