/**
 * A bulkhead is a named pool of permits: at most so many tasks run at once, a bounded line waits, the rest is
 * refused. Tasks run in the fiber of their caller; the pool owns no fiber and no timer.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { Options } from "./BulkheadConfig.ts"
import * as BulkheadConfig from "./BulkheadConfig.ts"
import type { BulkheadFull, BulkheadOutOfRange, BulkheadTimeout } from "./BulkheadError.ts"
import { TaskTimedOut } from "./BulkheadError.ts"
import type * as BulkheadState from "./BulkheadState.ts"
import type { Permit, Restore } from "./internal/PermitLine.ts"
import * as PermitLine from "./internal/PermitLine.ts"

export type { Options } from "./BulkheadConfig.ts"
export { BulkheadFull, BulkheadOutOfRange, BulkheadTimeout, TaskTimedOut } from "./BulkheadError.ts"
export type { Permit, Restore } from "./internal/PermitLine.ts"

/** What a pool has counted. */
export type Counts = BulkheadState.Counts

/** How a task ended. */
export type Ending = BulkheadState.Ending

/** How a task runs once it has its permit. */
export interface TaskOptions {
  /** After so long the task is interrupted. It holds its permit until it has ended. */
  readonly timeout: Duration.DurationInput
}

/** What one item came to. */
export interface ItemResult<out A, out B, out E> {
  readonly item: A
  readonly exit: Exit.Exit<B, E>
}

/** A running pool. */
export interface Bulkhead {
  readonly name: string
  readonly concurrency: number
  readonly counts: Effect.Effect<Counts>
  /**
   * Takes a permit, in line if it has to, or fails. For use where nothing can interrupt but the wait in line,
   * which `restore` opens: `protect` does not fit everywhere.
   */
  readonly acquire: (restore: Restore) => Effect.Effect<Permit, BulkheadFull | BulkheadTimeout>
  /** The same, in line for as long as it takes, however long the line. */
  readonly acquireWhenReady: (restore: Restore) => Effect.Effect<Permit>
}

/** A way to run an effect with a permit, with or without a limit on its time. */
export interface Protect<EAdmission> {
  (pool: Bulkhead): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | EAdmission, R>
  (
    pool: Bulkhead,
    options: TaskOptions
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | EAdmission | TaskTimedOut, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, pool: Bulkhead): Effect.Effect<A, E | EAdmission, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    pool: Bulkhead,
    options: TaskOptions
  ): Effect.Effect<A, E | EAdmission | TaskTimedOut, R>
}

/**
 * Makes a pool. Permits go out first come, first served.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Bulkhead from "@holdfast/core/Bulkhead"
 *
 * declare const render: (page: string) => Effect.Effect<string>
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* Bulkhead.make("render", { concurrency: 4, queue: 20, queueTimeout: "2 seconds" })
 *   return yield* render("index").pipe(Bulkhead.protect(pool, { timeout: "10 seconds" }))
 * })
 */
export const make = (name: string, options: Options): Effect.Effect<Bulkhead, BulkheadOutOfRange> =>
  Effect.map(BulkheadConfig.fromOptions(name, options), (config) => {
    const line = PermitLine.make(name, config)
    return {
      name,
      concurrency: config.concurrency,
      counts: Effect.sync(() => line.counts),
      acquire: (restore) => PermitLine.acquire(line, restore),
      acquireWhenReady: (restore) => PermitLine.acquireWhenReady(line, restore)
    }
  })

/** Makes a pool with the layer: a tag per kind of work. Options and failures are those of `make`. */
export const layer = <I>(
  tag: Context.Tag<I, Bulkhead>,
  name: string,
  options: Options
): Layer.Layer<I, BulkheadOutOfRange> => Layer.effect(tag, make(name, options))

/**
 * Runs an effect with a permit of the pool, in the fiber of the caller (with a timeout, in a child of it).
 *
 * Fails with `BulkheadFull` when the line is full, with `BulkheadTimeout` when it waited too long, with `TaskTimedOut`
 * when the task took too long. An effect inside that asks the same pool may wait for itself.
 */
export const protect: Protect<BulkheadFull | BulkheadTimeout> = protecting((pool, restore) =>
  pool.acquire(restore)
)

/**
 * Runs an effect as soon as there is a permit, in line with the others, however long the line: it is bounded by the
 * fibers that wait. The waiting can be interrupted.
 */
export const protectWhenReady: Protect<never> = protecting((pool, restore) => pool.acquireWhenReady(restore))

/**
 * Runs `f` for each item with a permit of the pool, waiting for permits. The exits come in the order of the items: one
 * that fails, dies or is interrupted fails only itself. At most `concurrency` items are in hand at once.
 */
export const forEach: {
  <A, B, E, R>(
    f: (item: A) => Effect.Effect<B, E, R>,
    pool: Bulkhead
  ): (items: Iterable<A>) => Effect.Effect<Array<Exit.Exit<B, E>>, never, R>
  <A, B, E, R>(
    f: (item: A) => Effect.Effect<B, E, R>,
    pool: Bulkhead,
    options: TaskOptions
  ): (items: Iterable<A>) => Effect.Effect<Array<Exit.Exit<B, E | TaskTimedOut>>, never, R>
  <A, B, E, R>(
    items: Iterable<A>,
    f: (item: A) => Effect.Effect<B, E, R>,
    pool: Bulkhead
  ): Effect.Effect<Array<Exit.Exit<B, E>>, never, R>
  <A, B, E, R>(
    items: Iterable<A>,
    f: (item: A) => Effect.Effect<B, E, R>,
    pool: Bulkhead,
    options: TaskOptions
  ): Effect.Effect<Array<Exit.Exit<B, E | TaskTimedOut>>, never, R>
} = dual(
  (args) => typeof args[0] !== "function",
  <A, B, E, R>(
    items: Iterable<A>,
    f: (item: A) => Effect.Effect<B, E, R>,
    pool: Bulkhead,
    options?: TaskOptions
  ) => Effect.forEach(items, (item) => exitOf(item, f, pool, options), { concurrency: pool.concurrency })
)

/**
 * Runs `f` for each item as `forEach` does and emits each result when it is there, whatever the order. A
 * consumer that falls behind more than 16 results holds the next items back; permits it holds none.
 */
export const stream: {
  <A, B, E, R>(
    f: (item: A) => Effect.Effect<B, E, R>,
    pool: Bulkhead
  ): (items: Iterable<A>) => Stream.Stream<ItemResult<A, B, E>, never, R>
  <A, B, E, R>(
    f: (item: A) => Effect.Effect<B, E, R>,
    pool: Bulkhead,
    options: TaskOptions
  ): (items: Iterable<A>) => Stream.Stream<ItemResult<A, B, E | TaskTimedOut>, never, R>
  <A, B, E, R>(
    items: Iterable<A>,
    f: (item: A) => Effect.Effect<B, E, R>,
    pool: Bulkhead
  ): Stream.Stream<ItemResult<A, B, E>, never, R>
  <A, B, E, R>(
    items: Iterable<A>,
    f: (item: A) => Effect.Effect<B, E, R>,
    pool: Bulkhead,
    options: TaskOptions
  ): Stream.Stream<ItemResult<A, B, E | TaskTimedOut>, never, R>
} = dual(
  (args) => typeof args[0] !== "function",
  <A, B, E, R>(
    items: Iterable<A>,
    f: (item: A) => Effect.Effect<B, E, R>,
    pool: Bulkhead,
    options?: TaskOptions
  ) =>
    Stream.mapEffect(
      Stream.fromIterable(items),
      (item) => Effect.map(exitOf(item, f, pool, options), (exit) => ({ item, exit })),
      { concurrency: pool.concurrency, unordered: true }
    )
)

// internal

/** A permit is taken where nothing can interrupt, so that none is lost between being taken and being ended. */
function protecting<EAdmission>(
  admission: (pool: Bulkhead, restore: Restore) => Effect.Effect<Permit, EAdmission>
): Protect<EAdmission> {
  return dual(
    (args) => Effect.isEffect(args[0]),
    <A, E, R>(self: Effect.Effect<A, E, R>, pool: Bulkhead, options?: TaskOptions) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          admission(pool, restore),
          (permit) =>
            options === undefined
              ? ending(restore(self), permit, () => false)
              : endingInTime(self, permit, restore, pool.name, options)
        )
      )
  )
}

const endingInTime = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  permit: Permit,
  restore: Restore,
  pool: string,
  options: TaskOptions
): Effect.Effect<A, E | TaskTimedOut, R> => {
  const timeout = Duration.decode(options.timeout)
  let isLate = false
  const onTimeout = () => {
    isLate = true
    return new TaskTimedOut({ pool, timeout })
  }
  return ending(
    restore(Effect.timeoutFail(self, { duration: timeout, onTimeout })),
    permit,
    () => isLate
  )
}

const ending = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  permit: Permit,
  isLate: () => boolean
): Effect.Effect<A, E, R> => Effect.onExit(self, (exit) => permit.end(isLate() ? "timedOut" : endingOf(exit)))

const endingOf = <A, E>(exit: Exit.Exit<A, E>): Ending => {
  if (Exit.isSuccess(exit)) return "completed"
  if (Cause.isDie(exit.cause)) return "died"
  return Cause.isFailure(exit.cause) ? "failed" : "interrupted"
}

/** What throws outside its effect is a defect of the item, too. */
const exitOf = <A, B, E, R>(
  item: A,
  f: (item: A) => Effect.Effect<B, E, R>,
  pool: Bulkhead,
  options: TaskOptions | undefined
): Effect.Effect<Exit.Exit<B, E | TaskTimedOut>, never, R> => {
  const task = Effect.suspend(() => f(item))
  return Effect.exit(
    options === undefined ? protectWhenReady(task, pool) : protectWhenReady(task, pool, options)
  )
}
