/**
 * Task workers are a supervised pool that claims tasks of a queue, runs them, and settles what came of them.
 */
import { StorageError } from "@holdfast/core/StorageError"
import * as Supervisor from "@holdfast/core/Supervisor"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { LaneFailed, OperationRejected } from "./CommitLog.ts"
import { CommitLog, NodeFenced } from "./CommitLog.ts"
import type { ClaimedTask } from "./Task.ts"
import type { Restore } from "./TaskAttempt.ts"
import * as TaskAttempt from "./TaskAttempt.ts"
import type { Claimed } from "./TaskOperation.ts"
import * as TaskOperation from "./TaskOperation.ts"
import * as TaskOutcome from "./TaskOutcome.ts"
import type { TaskQueue } from "./TaskQueue.ts"
import * as TaskSettlement from "./TaskSettlement.ts"
import { TaskStore } from "./TaskStore.ts"

/** How long an idle pool waits at most before it looks again: 250 milliseconds. */
export const pollDefault = Duration.millis(250)

/** How long a pool waits before it tries storage again after an outage: 1 second. */
export const outagePause = Duration.seconds(1)

/** A running pool. */
export interface TaskWorkers {
  /** Stops claiming; completes when the tasks in hand have ended and are settled, or the pool has ended otherwise. */
  readonly drain: Effect.Effect<void>
  /** Completes when the pool has drained, or the queue has with `until: "drained"`; fails when its supervisor gave up. */
  readonly await: Effect.Effect<void, Supervisor.RestartIntensityExceeded>
  /** Completes at the first storage error; the pool itself keeps trying. */
  readonly outage: Effect.Effect<StorageError>
}

/** How a pool works. */
export interface Options<R> {
  /** How many tasks run at once. */
  readonly concurrency: number
  /** `"closed"` (the default): until its scope closes. `"drained"`: until the queue has no unfinished task. */
  readonly until?: "closed" | "drained"
  /** Awaited before each claim: a rate limit, a breaker. */
  readonly gate?: Effect.Effect<void, never, R>
  /** How long it waits at most before it looks for tasks that other processes enqueued; 250 ms by default. */
  readonly poll?: Duration.DurationInput
}

/**
 * Starts a pool of workers; closing the scope interrupts the tasks in hand, whose attempts then do not count.
 *
 * Each task runs in a fiber of its own. A typed failure or a defect ends its attempt, which is retried as the queue says
 * until the task is dead; a defect is also logged. When the node is fenced, the tasks in hand are interrupted and
 * dropped, and the workers claim anew.
 */
export const make = <P, A, E, R, R2 = never>(
  queue: TaskQueue<P, A, E>,
  run: (payload: P, task: ClaimedTask) => Effect.Effect<A, E, R>,
  options: Options<R2>
): Effect.Effect<TaskWorkers, never, CommitLog | TaskStore | R | R2 | Scope.Scope> =>
  Effect.gen(function*() {
    const pool = yield* makePool(queue, options)
    const context = yield* Effect.context<R | R2>()
    const slot = Effect.provide(
      worker(pool, (task, restore) => TaskAttempt.run(queue, run, task, restore)),
      context
    )
    const supervisor = yield* Effect.orDie(Supervisor.make({
      name: `workers of ${queue.name}`,
      strategy: "one_for_one",
      children: Array.from({ length: options.concurrency }, (_, index) =>
        Supervisor.child({
          id: `worker-${index + 1}`,
          start: slot,
          restart: "transient",
          shutdown: "infinity"
        }))
    }))
    // Before the supervisor stops its children one behind the other: what all have in hand ends at the same time.
    yield* Effect.addFinalizer(() => Deferred.succeed(pool.closed, undefined))
    return {
      drain: Effect.zipRight(
        stopClaiming(pool),
        Effect.asVoid(Effect.raceFirst(Deferred.await(pool.finished), Effect.exit(supervisor.await)))
      ),
      await: Effect.raceFirst(Deferred.await(pool.finished), supervisor.await),
      outage: Deferred.await(pool.outage)
    }
  })

interface Pool<R> {
  readonly queue: string
  readonly backoff: TaskQueue<never, never, never>["backoff"]
  readonly gate: Effect.Effect<void, never, R> | null
  readonly untilDrained: boolean
  readonly poll: Duration.Duration
  readonly log: CommitLog["Type"]
  readonly store: TaskStore["Type"]
  /** One idle worker looks for tasks; the others wait for their turn here. */
  readonly turn: Effect.Semaphore
  readonly stop: Deferred.Deferred<void>
  readonly finished: Deferred.Deferred<void>
  readonly closed: Deferred.Deferred<void>
  readonly outage: Deferred.Deferred<StorageError>
  draining: boolean
  working: number
}

const makePool = <P, A, E, R>(queue: TaskQueue<P, A, E>, options: Options<R>) =>
  Effect.gen(function*() {
    const pool: Pool<R> = {
      queue: queue.name,
      backoff: queue.backoff,
      gate: options.gate ?? null,
      untilDrained: options.until === "drained",
      poll: Duration.decode(options.poll ?? pollDefault),
      log: yield* CommitLog,
      store: yield* TaskStore,
      turn: yield* Effect.makeSemaphore(1),
      stop: yield* Deferred.make<void>(),
      finished: yield* Deferred.make<void>(),
      closed: yield* Deferred.make<void>(),
      outage: yield* Deferred.make<StorageError>(),
      draining: false,
      working: options.concurrency
    }
    return pool
  })

type RunAttempt<R> = (
  task: ClaimedTask,
  restore: Restore
) => Effect.Effect<TaskSettlement.AttemptEnd, never, R>

/** One worker: until it drains, and from the start again with nothing in hand whenever the node was fenced. */
const worker = <R, R2>(pool: Pool<R2>, run: RunAttempt<R>): Effect.Effect<void, never, R | R2> =>
  Effect.raceFirst(
    Effect.as(Effect.raceFirst(workLoop(pool, run), Deferred.await(pool.closed)), "finished" as const),
    Effect.as(pool.log.fenced, "fenced" as const)
  ).pipe(
    Effect.repeat({ while: (ended) => ended === "fenced" }),
    Effect.zipRight(Effect.suspend(() => {
      pool.working -= 1
      return pool.working === 0 ? Deferred.succeed(pool.finished, undefined) : Effect.void
    }))
  )

/** Uninterruptible but for its waits and the task itself, so that a claim is always run or settled. */
const workLoop = <R, R2>(pool: Pool<R2>, run: RunAttempt<R>): Effect.Effect<void, never, R | R2> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      let task = yield* nextTask(pool, restore)
      while (task !== null) {
        const end = yield* run(task, restore)
        // Where the worker is to stop, what was claimed along with the settlement ends before it begins, and is released.
        task = (yield* settle(pool, task, end, restore)) ?? (yield* nextTask(pool, restore))
      }
    })
  )

/** Waits for a task to claim; `null` when the pool drains, or the queue has drained and the pool was to end then. */
const nextTask = <R>(pool: Pool<R>, restore: Restore): Effect.Effect<ClaimedTask | null, never, R> =>
  restore(pool.turn.take(1)).pipe(
    Effect.zipRight(Effect.ensuring(look(pool, restore), pool.turn.release(1)))
  )

const look = <R>(pool: Pool<R>, restore: Restore): Effect.Effect<ClaimedTask | null, never, R> =>
  Effect.gen(function*() {
    while (true) {
      if (pool.gate !== null) yield* restore(Effect.raceFirst(pool.gate, Deferred.await(pool.stop)))
      if (pool.draining) return null
      // Listened to from before the claim, so that what changes in between is not missed.
      const changed = yield* Effect.fork(Effect.interruptible(pool.store.changed(pool.queue)))
      yield* Effect.yieldNow()
      const claimed = yield* claim(pool, restore)
      const task = claimed.tasks[0] ?? null
      const drained = pool.untilDrained && claimed.unfinished === 0
      if (task === null && !drained) yield* restore(waitForChange(pool, claimed, Fiber.join(changed)))
      yield* Fiber.interruptFork(changed)
      // One sees it for all: the others need not ask.
      if (drained) yield* stopClaiming(pool)
      if (task !== null || drained) return task
    }
  })

const stopClaiming = <R>(pool: Pool<R>): Effect.Effect<void> =>
  Effect.suspend(() => {
    pool.draining = true
    return Effect.asVoid(Deferred.succeed(pool.stop, undefined))
  })

const waitForChange = <R>(
  pool: Pool<R>,
  claimed: Claimed,
  changed: Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMillis) => {
    const untilDue = claimed.nextDueMillis === null
      ? Infinity
      : Math.max(1, claimed.nextDueMillis - nowMillis)
    const pause = Effect.sleep(Math.min(untilDue, Duration.toMillis(pool.poll)))
    return Effect.raceFirst(Effect.raceFirst(pause, changed), Deferred.await(pool.stop))
  })

const claimOne = (queue: string, nowMillis: number) =>
  TaskOperation.claimTasks({ queue, limit: 1, nowMillis })

const claim = <R>(pool: Pool<R>, restore: Restore): Effect.Effect<Claimed> =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMillis) => pool.log.commit([claimOne(pool.queue, nowMillis)]))
    .pipe(
      Effect.map(([claimed]) => claimed),
      persist(pool, restore),
      Effect.orDie
    )

/** Settles the task and, in the same commit, claims the next one where nothing has to be asked first. */
const settle = <R>(
  pool: Pool<R>,
  task: ClaimedTask,
  end: TaskSettlement.AttemptEnd,
  restore: Restore
): Effect.Effect<ClaimedTask | null> =>
  Effect.gen(function*() {
    const nowMillis = yield* Clock.currentTimeMillis
    const random01 = yield* Random.next
    const settlement = TaskSettlement.decide(task, end, { backoff: pool.backoff, nowMillis, random01 })
    const operation = settleTask(task, settlement, nowMillis)
    const alone = Effect.as(pool.log.commit([operation]), null)
    if (pool.gate !== null || pool.draining || end._tag === "Interrupted") return yield* alone
    return yield* pool.log.commit([operation, claimOne(pool.queue, nowMillis)]).pipe(
      Effect.map(([, claimed]) => claimed.tasks[0] ?? null),
      // The claim may be to blame.
      Effect.catchTags({ OperationRejected: () => alone, LaneFailed: () => alone })
    )
  }).pipe(
    persist(pool, restore),
    Effect.catchTags({
      Superseded: () => Effect.succeed(null),
      OperationRejected: (error) => bury(pool, task, error, restore),
      LaneFailed: (error) => bury(pool, task, error, restore)
    })
  )

/** Makes a task dead whose outcome the storage cannot hold. */
const bury = <R>(
  pool: Pool<R>,
  task: ClaimedTask,
  error: OperationRejected | LaneFailed,
  restore: Restore
): Effect.Effect<null> =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMillis) => {
    const outcome = TaskOutcome.encode({
      _tag: "Defect",
      detail: `its outcome was not stored: ${error.message}`
    })
    return pool.log.commit([settleTask(task, { _tag: "Dead", outcome }, nowMillis)])
  }).pipe(
    persist(pool, restore),
    Effect.catchTag("Superseded", () => Effect.void),
    Effect.orDie,
    Effect.as(null)
  )

const settleTask = (task: ClaimedTask, settlement: TaskOperation.Settlement, nowMillis: number) =>
  TaskOperation.settleTask({
    queue: task.queue,
    sequence: task.sequence,
    activation: task.activation,
    settlement,
    nowMillis
  })

/** Tries again for as long as storage is out; a fenced worker waits to be restarted with nothing in hand. */
const persist = <R>(pool: Pool<R>, restore: Restore) =>
<A, E>(
  effect: Effect.Effect<A, E | StorageError | NodeFenced>
): Effect.Effect<A, Exclude<E, StorageError | NodeFenced>> =>
  effect.pipe(
    Effect.tapError((error) =>
      error instanceof StorageError
        ? Effect.zipRight(Deferred.succeed(pool.outage, error), restore(Effect.sleep(outagePause)))
        : Effect.void
    ),
    Effect.retry({ while: (error) => error instanceof StorageError }),
    Effect.catchIf(
      (error): error is Extract<E | StorageError | NodeFenced, StorageError | NodeFenced> =>
        error instanceof StorageError || error instanceof NodeFenced,
      () => restore(Effect.never)
    )
  )
