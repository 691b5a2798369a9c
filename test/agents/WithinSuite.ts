import { describe, expect, it } from "@effect/vitest"
import { CommitLog, insideTransaction } from "@holdfast/agents/CommitLog"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import { TaskStore } from "@holdfast/agents/TaskStore"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"

/** What every commit log must do with user transactions, whether it has SQL or not. */
export const withinSuite = (
  name: string,
  layer: Layer.Layer<CommitLog | TaskStore, StorageError>
) =>
  describe(`CommitLog.within on ${name}`, () => {
    it.live("yields what the user did and the results of the operations it led to, which are written", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const done = yield* log.within(Effect.succeed("7"), (id) => [enqueue(id), enqueue("8")])
        expect(done).toMatchObject({ value: "7", results: [{ enqueued: 1 }, { enqueued: 1 }] })
        expect(yield* log.within(Effect.succeed(1), () => [])).toEqual({ value: 1, results: [] })
        expect(yield* ids).toEqual(["7", "8"])
      }).pipe(Effect.provide(layer)))

    it.live("applies no operation when the user fails, dies or interrupts itself, and ends as the user did", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const ends = yield* Effect.forEach(
          [new Rejected(), Effect.die("bug"), Effect.interrupt, Effect.succeed("thrown")],
          (user) => Effect.exit(log.within(user, thenThrown))
        )
        const [failure, defect, interruption, thrown] = ends.map(causeOf)
        expect(failure).toEqual(Cause.fail(new Rejected()))
        expect(Cause.squash(defect ?? Cause.empty)).toBe("bug")
        expect(Cause.isInterruptedOnly(interruption ?? Cause.empty)).toBe(true)
        expect(Cause.isDie(thrown ?? Cause.empty)).toBe(true)
        yield* log.commit([enqueue("after")])
        expect(yield* ids).toEqual(["after"])
      }).pipe(Effect.provide(layer)))

    it.live("applies no operation when its caller is interrupted, which interrupts the user", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const [started, ended] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const user = Effect.zipRight(Deferred.succeed(started, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(ended, undefined))
        )
        const fiber = yield* Effect.fork(log.within(user, () => [enqueue("1")], { deadline: "1 hour" }))
        yield* Deferred.await(started)
        expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
        yield* Deferred.await(ended)
        yield* log.commit([enqueue("after")])
        expect(yield* ids).toEqual(["after"])
      }).pipe(Effect.provide(layer)))

    it.live("is over at once when its caller is interrupted, also where the user goes on for a while", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const [started, release] = [yield* Deferred.make<void>(), yield* Effect.makeLatch(false)]
        const user = Effect.uninterruptible(
          Effect.zipRight(Deferred.succeed(started, undefined), release.await)
        )
        const fiber = yield* Effect.fork(log.within(user, () => [enqueue("1")], { deadline: "1 hour" }))
        yield* Deferred.await(started)
        const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* Effect.yieldNow()
        yield* log.commit([enqueue("after")])
        yield* release.open
        expect(Exit.isInterrupted(yield* Fiber.join(interrupting))).toBe(true)
        expect(yield* ids).toEqual(["after"])
      }).pipe(Effect.provide(layer)))

    it.live("interrupts the user at its deadline, and its caller goes on", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const ended = yield* Deferred.make<void>()
        const user = Effect.onInterrupt(Effect.never, () => Deferred.succeed(ended, undefined))
        const error = yield* Effect.flip(log.within(user, () => [enqueue("1")], { deadline: "20 millis" }))
        expect(error).toMatchObject({ _tag: "TransactionTimeout", limitMillis: 20 })
        yield* Deferred.await(ended)
        expect(yield* ids).toEqual([])
      }).pipe(Effect.provide(layer)))

    it.live("ends at its deadline, even where neither the user nor the caller can be interrupted", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const release = yield* Effect.makeLatch(false)
        const user = Effect.uninterruptible(release.await)
        const within = log.within(user, () => [enqueue("1")], { deadline: "20 millis" })
        const error = yield* Effect.flip(Effect.uninterruptible(within))
        expect(error).toMatchObject({ _tag: "TransactionTimeout", limitMillis: 20 })
        yield* log.commit([enqueue("after")])
        expect(yield* ids).toEqual(["after"])
        yield* release.open
      }).pipe(Effect.provide(layer)))

    it.live("applies all operations or none: a refused one is typed", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const settings = { paused: false, sealed: true, sizeMax: 1, errorThreshold: null, label: null }
        yield* log.commit([TaskOperation.putQueue({ queue: "q", base: 0, settings })])
        const error = yield* Effect.flip(
          log.within(Effect.void, () => [enqueue("1", "other"), enqueue("1"), enqueue("2")])
        )
        expect(error).toMatchObject({ _tag: "QueueFull", queue: "q" })
        expect(yield* ids).toEqual([])
      }).pipe(Effect.provide(layer)))

    it.live("rejects a commit and refuses a transaction inside, also in a fiber of the user's, and not after it", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const commit = Effect.either(log.commit([enqueue("inner")]))
        const nested = Effect.either(log.within(Effect.die("ran"), () => []))
        const over = yield* Effect.makeLatch(false)
        const user = Effect.gen(function*() {
          const later = yield* Effect.forkDaemon(Effect.zipRight(over.await, commit))
          const forked = yield* Effect.fork(commit)
          return { inner: [yield* commit, yield* nested, yield* Fiber.join(forked)], later }
        })
        const { value } = yield* log.within(user, () => [enqueue("outer")])
        const rejected = { left: { _tag: "OperationRejected", operation: "EnqueueTasks", lane: "queue:q" } }
        expect(value.inner).toMatchObject([
          rejected,
          { left: { _tag: "RefusedInTransaction", operation: "within" } },
          rejected
        ])
        expect(yield* ids).toEqual(["outer"])
        yield* over.open
        expect(yield* Fiber.join(value.later)).toMatchObject({ right: [{ enqueued: 1 }] })
      }).pipe(Effect.provide(layer)))

    it.live("tells a fiber whether it is inside", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const { value } = yield* log.within(insideTransaction, () => [])
        expect([value, yield* insideTransaction]).toEqual([true, false])
      }).pipe(Effect.provide(layer)))

    it.live("runs among commits of others, and all come to their end, each unit of a caller in its order", () =>
      Effect.gen(function*() {
        const log = yield* CommitLog
        const all = Array.from({ length: 12 }, (_, index) => index)
        const write = (lane: string, isAlone: boolean, index: number) =>
          isAlone
            ? Effect.asVoid(log.within(Effect.yieldNow(), () => [enqueue(`${index}`, lane)]))
            : Effect.asVoid(log.commit([enqueue(`${index}`, lane)]))
        const caller = (lane: string) => Effect.forEach(all, (index) => write(lane, index % 3 === 0, index))
        const pipelined = Effect.forEach(all, (index) => write(`p${index % 3}`, index % 3 === 1, index), {
          concurrency: "unbounded"
        })
        yield* Effect.all([...["a", "b", "c"].map(caller), pipelined], { concurrency: "unbounded" })
        const tasks = yield* (yield* TaskStore).tasks({ limit: 100 })
        const of = (queue: string) => tasks.filter((task) => task.queue === queue).map(({ id }) => Number(id))
        expect([of("a"), of("b"), of("c")]).toEqual([all, all, all])
        expect([of("p0"), of("p1"), of("p2")]).toEqual(
          [0, 1, 2].map((rest) => all.filter((n) => n % 3 === rest))
        )
      }).pipe(Effect.provide(layer)))
  })

class Rejected extends Data.TaggedError("Rejected")<{}> {}

const enqueue = (id: string, queue = "q") =>
  TaskOperation.enqueueTasks({
    queue,
    tasks: [{ id, priority: 0, notBeforeMillis: 0, attemptsMax: 1, payload: "null" }],
    nowMillis: 0
  })

const thenThrown = (): readonly [TaskOperation.EnqueueTasks] => {
  throw new Error("thrown by then")
}

const causeOf = <A, E>(exit: Exit.Exit<A, E>) => (Exit.isFailure(exit) ? exit.cause : Cause.empty)

const ids = Effect.flatMap(
  TaskStore,
  (store) => Effect.map(store.tasks({ limit: 100 }), (tasks) => tasks.map(({ id }) => id))
)
