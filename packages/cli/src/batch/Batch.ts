/**
 * `holdfast batch`: runs a command for every input, with limits and retries, through any crash.
 */
import type { CommitError, CommitLog } from "@holdfast/agents/CommitLog"
import type { ClaimedTask } from "@holdfast/agents/Task"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as TaskWorkers from "@holdfast/agents/TaskWorkers"
import * as CircuitBreaker from "@holdfast/core/CircuitBreaker"
import * as ProcessMarker from "@holdfast/core/ProcessMarker"
import * as RateLimiter from "@holdfast/core/RateLimiter"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Failure from "../Failure.ts"
import { Output } from "../Output.ts"
import type { BatchOptions } from "./BatchOptions.ts"
import * as BatchTask from "./BatchTask.ts"
import * as CommandHost from "./CommandHost.ts"
import * as FailedFile from "./FailedFile.ts"
import * as Identity from "./Identity.ts"
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
    // First, so that it starts while the store is opened.
    const host = yield* CommandHost.make(options.concurrency)
    return yield* work(prepared, options, interruption, host).pipe(
      Effect.provide(Sqlite.layer({ filename: options.db })),
      Effect.catchAll((error) => error._tag === "Failure" ? error : outage(options, error))
    )
  }))

/** A batch makes its database: one that is not there any more was taken away. */
const outage = ({ db }: BatchOptions, error: CommitError): Failure.Failure => {
  const passes = error._tag !== "StorageError" || ["Busy", "Full", "Io"].includes(error.reason)
  const remedy = passes ? "; run the same command again to continue" : ""
  return new Failure.Failure({
    exitCode: Failure.exitCodes.storage,
    message: `${Failure.storage(db, error).message}${remedy}`
  })
}

const work = (
  prepared: Prepare.Prepared,
  options: BatchOptions,
  interruption: Interruption.Interruption,
  host: CommandHost.CommandHost
): Effect.Effect<number, Failure.Failure | CommitError, CommitLog | TaskStore | Output> =>
  Effect.scoped(Effect.gen(function*() {
    const store = yield* TaskStore
    const loaded = yield* Effect.raceFirst(
      Effect.asSome(Prepare.load(prepared, options)),
      Effect.as(interruption.first, Option.none())
    )
    const breaker = yield* makeBreaker(options)
    const before = Option.getOrElse(loaded, () => 0)
    const report = yield* Report.make({ prepared, options, before, breaker })
    if (Option.isNone(loaded)) return yield* report.end("interrupted")
    const out = options.out === null
      ? null
      : yield* OutFile.make(options.out, options.db, prepared.name, store)
    const ended = yield* untilEnded(prepared, options, interruption, breaker, host).pipe(
      Effect.raceFirst(out === null ? Effect.never : follow(out)),
      Effect.raceFirst(report.show)
    )
    if (ended === "drained") yield* Prepare.requireUnchanged(prepared)
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
  breaker: CircuitBreaker.CircuitBreaker | null,
  host: CommandHost.CommandHost
): Effect.Effect<Report.Ended, Failure.Failure | CommitError, CommitLog | TaskStore | Output> =>
  Effect.scoped(Effect.gen(function*() {
    const running = yield* start(prepared, options, breaker, host)
    const broken = Effect.raceFirst(
      Effect.flatMap(running.workers.outage, (error) => Effect.fail(error)),
      Effect.flatMap(running.foreign, () => Effect.fail(Prepare.begunAnew(prepared)))
    )
    const interrupted = Effect.zipRight(interruption.first, stop(running, interruption))
    const skipped = Effect.zipRight(running.workers.drain, TaskQueue.skipReady(prepared.name))
    const drained = Effect.as(Effect.orDie(running.workers.await), "drained" as const)
    // Decided before anybody drains the workers: one of the ends must not be taken for another.
    const first = yield* Effect.raceFirst(
      Effect.raceFirst(drained, Effect.as(interruption.first, "interrupted" as const)),
      Effect.raceFirst(Effect.as(running.failed, "failed" as const), broken)
    )
    switch (first) {
      case "drained":
        return "drained"
      case "interrupted":
        return yield* interrupted
      case "failed":
        return yield* Effect.raceFirst(
          Effect.raceFirst(Effect.as(skipped, "drained" as const), interrupted),
          broken
        )
    }
  }))

/** The workers of a batch, in a scope of their own. */
interface Running {
  readonly workers: TaskWorkers.TaskWorkers
  readonly scope: Scope.CloseableScope
  /** Completes when a task has failed for good that is to fail the batch. */
  readonly failed: Effect.Effect<void>
  /** Completes when a task of another batch was claimed, which is given back. */
  readonly foreign: Effect.Effect<void>
  /** Kills all that commands have started and left running, at once. */
  readonly kill: Effect.Effect<void>
}

const start = (
  prepared: Prepare.Prepared,
  options: BatchOptions,
  breaker: CircuitBreaker.CircuitBreaker | null,
  host: CommandHost.CommandHost
): Effect.Effect<Running, never, CommitLog | TaskStore | Scope.Scope> =>
  Effect.gen(function*() {
    const node = { current: "" }
    const kill = Effect.asVoid(Effect.suspend(() => ProcessMarker.killMarked(node.current)))
    // Behind the workers' scope: what a command left running in a session of its own goes with the batch.
    yield* Effect.addFinalizer(() => kill)
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
    const failed = yield* Deferred.make<void>()
    const foreign = yield* Deferred.make<void>()
    const fingerprint = Identity.fingerprint(prepared.label)
    const gate = yield* makeGate(options, breaker)
    const run = yield* RunTask.make(prepared.template, options, breaker, host)
    const workers = yield* TaskWorkers.make(
      BatchTask.queue(prepared.name, options.retries + 1),
      (payload, task) => {
        node.current = task.node
        if (payload.batch !== fingerprint) {
          return Effect.zipRight(Deferred.succeed(foreign, undefined), Effect.never)
        }
        return Effect.tapError(run(payload, task), () =>
          options.failFast && isLast(task) ? Deferred.succeed(failed, undefined) : Effect.void)
      },
      { concurrency: options.concurrency, until: "drained", ...(gate === undefined ? {} : { gate }) }
    ).pipe(Scope.extend(scope))
    return { workers, scope, failed: Deferred.await(failed), foreign: Deferred.await(foreign), kill }
  })

/** Lets running commands end for a while, then ends them; a second signal kills them at once. */
const stop = (
  running: Running,
  interruption: Interruption.Interruption
): Effect.Effect<"interrupted", never, Output> =>
  Effect.scoped(Effect.gen(function*() {
    const { say } = yield* Output
    yield* say(
      `stopping: running commands get ${
        Duration.format(stopGrace)
      } to end; a second signal kills them at once`
    )
    yield* Effect.raceFirst(Effect.timeoutOption(running.workers.drain, stopGrace), interruption.second)
    yield* Effect.forkScoped(Effect.zipRight(interruption.second, running.kill))
    yield* Scope.close(running.scope, Exit.void)
    return "interrupted" as const
  }))

const isLast = (task: ClaimedTask): boolean => task.attempt >= task.attemptsMax

const follow = (out: OutFile.OutFile): Effect.Effect<never, StorageError | Failure.Failure> =>
  Effect.forever(Effect.zipRight(out.follow, Effect.sleep(followInterval)))

/** The last lines; where another process of the batch writes the file, this one waits for it to finish. */
const finish = (out: OutFile.OutFile): Effect.Effect<void, StorageError | Failure.Failure, Scope.Scope> =>
  Effect.gen(function*() {
    const deadline = (yield* Clock.currentTimeMillis) + Duration.toMillis(finishMax)
    while (!(yield* out.complete)) {
      if ((yield* Clock.currentTimeMillis) > deadline) return
      yield* Effect.sleep(followInterval)
    }
  })

const finishMax = Duration.seconds(10)
