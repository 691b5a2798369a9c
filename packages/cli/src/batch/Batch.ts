/**
 * `holdfast batch`: runs a command for every input, with limits and retries, through any crash.
 */
import type { CommitError, CommitLog, StorageError } from "@holdfast/agents/CommitLog"
import type { ClaimedTask } from "@holdfast/agents/Task"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as TaskWorkers from "@holdfast/agents/TaskWorkers"
import * as CircuitBreaker from "@holdfast/core/CircuitBreaker"
import * as ProcessMarker from "@holdfast/core/ProcessMarker"
import * as RateLimiter from "@holdfast/core/RateLimiter"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Failure from "../Failure.ts"
import type { Output } from "../Output.ts"
import type { BatchOptions } from "./BatchOptions.ts"
import * as BatchTask from "./BatchTask.ts"
import * as FailedFile from "./FailedFile.ts"
import * as Interruption from "./Interruption.ts"
import * as OutFile from "./OutFile.ts"
import * as Prepare from "./Prepare.ts"
import * as Report from "./Report.ts"
import * as RunTask from "./RunTask.ts"

/** How long running commands may go on after the first SIGINT or SIGTERM: 10 seconds. */
export const stopGrace = Duration.seconds(10)

/** How often the `--out` file follows the store. */
const followInterval = Duration.millis(200)

/** Runs a batch to its end, or until it is interrupted; yields the exit code. */
export const run = (options: BatchOptions): Effect.Effect<number, Failure.Failure, Output> =>
  Effect.scoped(Effect.gen(function*() {
    const prepared = yield* Prepare.check(options)
    if (options.out !== null) yield* OutFile.check(options.out)
    const interruption = yield* Interruption.listen
    return yield* work(prepared, options, interruption).pipe(
      Effect.provide(Sqlite.layer({ filename: options.db })),
      Effect.catchAll((error) => error._tag === "Failure" ? error : Failure.storage(options.db, error))
    )
  }))

const work = (
  prepared: Prepare.Prepared,
  options: BatchOptions,
  interruption: Interruption.Interruption
): Effect.Effect<number, Failure.Failure | CommitError, CommitLog | TaskStore | Output> =>
  Effect.scoped(Effect.gen(function*() {
    const before = yield* Prepare.load(prepared, options)
    const store = yield* TaskStore
    const breaker = yield* makeBreaker(options)
    const report = yield* Report.make({ prepared, options, before, breaker })
    const out = options.out === null
      ? null
      : yield* OutFile.make(options.out, options.db, prepared.name, store)
    const ended = yield* untilEnded(prepared, options, interruption, breaker).pipe(
      Effect.raceFirst(out === null ? Effect.never : follow(out)),
      Effect.raceFirst(report.show)
    )
    if (out !== null) yield* finish(out)
    if (options.failed !== null) yield* FailedFile.write(options.failed, prepared, store)
    return yield* report.end(ended)
  }))

const makeBreaker = ({ breaker }: BatchOptions) =>
  breaker === null
    ? Effect.succeed(null)
    : Effect.orDie(
      CircuitBreaker.make("batch", { failureRate: { threshold: breaker }, openFor: "5 seconds" })
    )

const makeGate = ({ rate }: BatchOptions, breaker: CircuitBreaker.CircuitBreaker | null) =>
  Effect.gen(function*() {
    const limiter = rate === null
      ? null
      : yield* RateLimiter.make("batch", { ...rate, burst: Math.min(2, rate.limit) })
    if (limiter === null && breaker === null) return undefined
    return Effect.zipRight(breaker?.awaitReady ?? Effect.void, limiter?.wait() ?? Effect.void)
  }).pipe(Effect.orDie)

/** Runs workers until the queue has drained, a failure ends it early, storage fails, or somebody interrupts. */
const untilEnded = (
  prepared: Prepare.Prepared,
  options: BatchOptions,
  interruption: Interruption.Interruption,
  breaker: CircuitBreaker.CircuitBreaker | null
): Effect.Effect<Report.Ended, CommitError, CommitLog | TaskStore> =>
  Effect.scoped(Effect.gen(function*() {
    const node = { current: "" }
    // Behind the workers' scope: what a command started and left running in a session of its own goes with the batch.
    yield* Effect.addFinalizer(() => ProcessMarker.killMarked(node.current))
    const failed = yield* Deferred.make<void>()
    const gate = yield* makeGate(options, breaker)
    const run = yield* RunTask.make(prepared.template, options, breaker)
    const workers = yield* TaskWorkers.make(
      BatchTask.queue(prepared.name, options.retries + 1),
      (payload, task) => {
        node.current = task.node
        return Effect.tapError(run(payload, task), () =>
          isLast(task) ? Deferred.succeed(failed, undefined) : Effect.void)
      },
      { concurrency: options.concurrency, until: "drained", ...(gate === undefined ? {} : { gate }) }
    )
    const outage = Effect.flatMap(workers.outage, (error) =>
      Effect.fail(error))
    const drained = Effect.as(Effect.orDie(workers.await), "drained" as const)
    const stopped = Effect.zipRight(
      interruption.first,
      Effect.raceFirst(
        Effect.timeoutOption(workers.drain, stopGrace),
        Effect.zipRight(interruption.second, Effect.suspend(() => ProcessMarker.killMarked(node.current)))
      )
    ).pipe(Effect.as("interrupted" as const))
    const failedFast = options.failFast
      ? Deferred.await(failed).pipe(
        Effect.zipRight(workers.drain),
        Effect.zipRight(TaskQueue.skipReady(prepared.name)),
        Effect.as("drained" as const)
      )
      : Effect.never
    return yield* Effect.raceFirst(Effect.raceFirst(drained, stopped), Effect.raceFirst(failedFast, outage))
  }))

const isLast = (task: ClaimedTask): boolean => task.attempt >= task.attemptsMax

const follow = (out: OutFile.OutFile): Effect.Effect<never, StorageError | Failure.Failure> =>
  Effect.forever(Effect.zipRight(out.follow, Effect.sleep(followInterval)))

/** The last lines; where another process of the batch writes the file, this one waits for it to finish. */
const finish = (out: OutFile.OutFile): Effect.Effect<void, StorageError | Failure.Failure, Scope.Scope> =>
  Effect.gen(function*() {
    const deadline = (yield* Clock.currentTimeMillis) + Duration.toMillis(finishMax)
    while (!(yield* out.follow)) {
      if ((yield* Clock.currentTimeMillis) > deadline) return
      yield* Effect.sleep(followInterval)
    }
  })

const finishMax = Duration.seconds(10)
