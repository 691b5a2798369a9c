/**
 * A task queue is a named, durable list of work with a typed payload, result and error.
 */
import * as Backoff from "@holdfast/core/Backoff"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { CommitError } from "./CommitLog.ts"
import { CommitLog } from "./CommitLog.ts"
import * as Encoded from "./Encoded.ts"
import * as Queue from "./Queue.ts"
import type { NewTask, Task } from "./Task.ts"
import type { QueueFull, VersionConflict } from "./TaskOperation.ts"
import * as TaskOperation from "./TaskOperation.ts"
import * as TaskOutcome from "./TaskOutcome.ts"
import { TaskStore } from "./TaskStore.ts"

/** How many attempts a task has in all, unless its queue says otherwise. */
export const attemptsMaxDefault = 4

/** How many tasks one atomic enqueue may hold; `load` takes any number. */
export const enqueueTasksMax = 1_000

/** How many bytes of payload one atomic enqueue may hold: 4 MiB. */
export const enqueueBytesMax = 4 * 1024 * 1024

/**
 * A queue: its name and the schemas of what goes in and comes out. It is a plain value; nothing runs and nothing is
 * stored until it is used.
 */
export interface TaskQueue<P, A, E> {
  readonly name: string
  readonly attemptsMax: number
  readonly backoff: Backoff.Backoff
  readonly payload: Encoded.Codec<P>
  readonly success: Encoded.Codec<A>
  readonly error: Encoded.Codec<E>
}

/**
 * Defines a queue.
 *
 * `success` defaults to nothing and `error` to none. `attemptsMax` is 4 by default, at least 1; between attempts the
 * task waits as `backoff` says, by default 1 s doubled each time up to 5 min, with jitter.
 *
 * @example
 * import * as TaskQueue from "@holdfast/agents/TaskQueue"
 * import * as Schema from "effect/Schema"
 *
 * const Thumbnails = TaskQueue.make("thumbnails", { payload: Schema.Struct({ file: Schema.String }) })
 */
export const make = <P, PI, A = void, AI = null, E = never, EI = never>(name: string, options: {
  readonly payload: Schema.Schema<P, PI>
  readonly success?: Schema.Schema<A, AI>
  readonly error?: Schema.Schema<E, EI>
  readonly attemptsMax?: number
  readonly backoff?: Backoff.Backoff
}): TaskQueue<P, A, E> => ({
  name,
  attemptsMax: Math.max(1, options.attemptsMax ?? attemptsMaxDefault),
  backoff: options.backoff ?? Backoff.exponential(),
  payload: Encoded.codec(options.payload),
  success: Encoded.codec((options.success ?? Encoded.Nothing) as Schema.Schema<A, AI>),
  error: Encoded.codec((options.error ?? Schema.Never) as Schema.Schema<E, EI>)
})

/** One task to enqueue. */
export interface Item<P> {
  readonly payload: P
  /** Makes the task unique in its queue: enqueueing the same id again changes nothing. Random by default. */
  readonly id?: string
  /** Smaller runs first; 0 by default. */
  readonly priority?: number
  /** How long to wait before it may be claimed; none by default. */
  readonly delay?: Duration.DurationInput
  /** How many attempts it has in all, at least 1; as many as its queue says by default. */
  readonly attemptsMax?: number
}

/** A bulk that is too large to be written as one. Remedy: use `load`, which writes it in chunks and then seals it. */
export class EnqueueTooLarge extends Schema.TaggedError<EnqueueTooLarge>()("EnqueueTooLarge", {
  queue: Schema.String,
  tasks: Schema.Number,
  bytes: Schema.Number
}) {
  override get message(): string {
    return `${this.tasks} tasks of ${this.bytes} bytes are too many for one enqueue into ${this.queue}: ` +
      `the limits are ${enqueueTasksMax} tasks and ${enqueueBytesMax} bytes`
  }
}

/** How enqueueing can fail; nothing is written in any of these cases. */
export type EnqueueError = CommitError | QueueFull | Encoded.PayloadTooLarge | ParseResult.ParseError

/** How many tasks were added, and how many the queue already had. */
export interface Enqueued {
  readonly enqueued: number
  readonly duplicates: number
}

/** Adds one task; it is durable when the effect succeeds. */
export const enqueue = <P, A, E>(
  queue: TaskQueue<P, A, E>,
  item: Item<P>
): Effect.Effect<Enqueued, EnqueueError, CommitLog> =>
  Effect.flatMap(encodeAll(queue, [item]), (tasks) => commitTasks(queue.name, tasks))

/** Makes the operation that adds tasks, for those who commit it along with others. */
export const enqueueOperation = <P, A, E>(
  queue: TaskQueue<P, A, E>,
  items: ReadonlyArray<Item<P>>
): Effect.Effect<TaskOperation.EnqueueTasks, Encoded.PayloadTooLarge | ParseResult.ParseError> =>
  Effect.zipWith(
    encodeAll(queue, items),
    Clock.currentTimeMillis,
    (tasks, nowMillis) => TaskOperation.enqueueTasks({ queue: queue.name, tasks, nowMillis })
  )

/** Adds tasks all or nothing: at most 1,000 of them with at most 4 MiB of payload, else `EnqueueTooLarge`. */
export const enqueueAll = <P, A, E>(
  queue: TaskQueue<P, A, E>,
  items: ReadonlyArray<Item<P>>
): Effect.Effect<Enqueued, EnqueueError | EnqueueTooLarge, CommitLog> =>
  Effect.gen(function*() {
    const tasks = yield* encodeAll(queue, items)
    const bytes = payloadBytes(tasks)
    if (tasks.length > enqueueTasksMax || bytes > enqueueBytesMax) {
      return yield* new EnqueueTooLarge({ queue: queue.name, tasks: tasks.length, bytes })
    }
    return yield* commitTasks(queue.name, tasks)
  })

/**
 * Fills a queue with any number of tasks so that none is claimed before all are there: the queue is unsealed, filled in
 * chunks, and sealed. Every item carries its id, so a load that was cut short is simply done again.
 */
export const load = <P, A, E, E2, R>(
  queue: TaskQueue<P, A, E>,
  items: Stream.Stream<Item<P> & { readonly id: string }, E2, R>
): Effect.Effect<Enqueued, EnqueueError | E2, CommitLog | TaskStore | R> =>
  Effect.gen(function*() {
    yield* update(queue.name, (settings) => ({ ...settings, sealed: false }))
    const total = yield* items.pipe(
      Stream.mapEffect((item) => encodeItem(queue, item)),
      Stream.grouped(enqueueTasksMax),
      Stream.flatMap((tasks) => Stream.fromIterable(splitByBytes(Chunk.toReadonlyArray(tasks)))),
      Stream.mapEffect((tasks) => commitTasks(queue.name, tasks)),
      Stream.runFold({ enqueued: 0, duplicates: 0 }, (sum, chunk) => ({
        enqueued: sum.enqueued + chunk.enqueued,
        duplicates: sum.duplicates + chunk.duplicates
      }))
    )
    yield* update(queue.name, (settings) => ({ ...settings, sealed: true }))
    return total
  })

/** Stops claims from the queue; running tasks go on. */
export const pause = (name: string): Effect.Effect<void, CommitError, CommitLog | TaskStore> =>
  update(name, (settings) => ({ ...settings, paused: true }))

/** Allows claims from the queue again. */
export const resume = (name: string): Effect.Effect<void, CommitError, CommitLog | TaskStore> =>
  update(name, (settings) => ({ ...settings, paused: false }))

/** Changes the queue's settings; done again when somebody else changed them meanwhile. */
export const update = (
  name: string,
  change: (settings: Queue.QueueSettings) => Queue.QueueSettings
): Effect.Effect<void, CommitError, CommitLog | TaskStore> =>
  Effect.flatMap(stats(name), (queue) => {
    const { errorThreshold, label, paused, sealed, sizeMax } = queue
    const settings = change({ paused, sealed, sizeMax, errorThreshold, label })
    return put(name, queue.version, settings)
  }).pipe(Effect.catchTag("VersionConflict", () => update(name, change)))

/** Sets the queue as a whole, if nobody has since the version it builds on (0 creates it). */
export const put = (
  name: string,
  base: number,
  settings: Queue.QueueSettings
): Effect.Effect<void, CommitError | VersionConflict, CommitLog> =>
  Effect.asVoid(
    Effect.flatMap(CommitLog, (log) => log.commit([TaskOperation.putQueue({ queue: name, base, settings })]))
  )

/** The queue's settings and exact counts. */
export const stats = (name: string): Effect.Effect<Queue.Queue, StorageError, TaskStore> =>
  Effect.flatMap(
    TaskStore,
    (store) => Effect.map(store.queue(name), Option.getOrElse(() => Queue.empty(name)))
  )

/** Makes one dead or skipped task ready again; says whether there was one. */
export const retry = (name: string, id: string): Effect.Effect<boolean, CommitError, CommitLog> =>
  Effect.map(retryChunk(name, id), (count) => count > 0)

/** Makes every dead and skipped task ready again, in chunks; yields how many. */
export const retryAll = (name: string): Effect.Effect<number, CommitError, CommitLog> =>
  inChunks(retryChunk(name, null))

/** Gives up every ready task without running it, in chunks; yields how many. */
export const skipReady = (name: string): Effect.Effect<number, CommitError, CommitLog> =>
  inChunks(
    commitAt((log, nowMillis) =>
      log.commit([TaskOperation.skipTasks({ queue: name, limit: enqueueTasksMax, nowMillis })])
    )
  )

/** Deletes every task that is not running, in chunks; yields how many. */
export const purge = (name: string): Effect.Effect<number, CommitError, CommitLog> =>
  inChunks(commitAt((log) => log.commit([TaskOperation.purgeTasks({ queue: name, limit: enqueueTasksMax })])))

/** What came of the task's last attempt, with the queue's types; `none` before it has ended. */
export const outcome = <P, A, E>(
  queue: TaskQueue<P, A, E>,
  task: Task
): Effect.Effect<Option.Option<TaskOutcome.Decoded<A, E>>, ParseResult.ParseError> =>
  task.outcome === null ? Effect.succeedNone : Effect.asSome(TaskOutcome.decode(queue, task.outcome))

const randomId = Effect.sync(() => globalThis.crypto.randomUUID())

const encodeItem = <P, A, E>(queue: TaskQueue<P, A, E>, item: Item<P>) =>
  Effect.gen(function*() {
    const payload = yield* queue.payload.encode(item.payload)
    yield* Encoded.checkSize(`payload of queue ${queue.name}`, payload)
    const nowMillis = yield* Clock.currentTimeMillis
    const task: NewTask = {
      id: item.id ?? (yield* randomId),
      priority: item.priority ?? 0,
      notBeforeMillis: nowMillis + Duration.toMillis(item.delay ?? Duration.zero),
      attemptsMax: Math.max(1, item.attemptsMax ?? queue.attemptsMax),
      payload
    }
    return task
  })

const encodeAll = <P, A, E>(queue: TaskQueue<P, A, E>, items: ReadonlyArray<Item<P>>) =>
  Effect.forEach(items, (item) => encodeItem(queue, item))

const commitAt = <A, E>(
  write: (log: CommitLog["Type"], nowMillis: number) => Effect.Effect<readonly [A], E>
): Effect.Effect<A, E, CommitLog> =>
  Effect.gen(function*() {
    const log = yield* CommitLog
    const [result] = yield* write(log, yield* Clock.currentTimeMillis)
    return result
  })

const commitTasks = (queue: string, tasks: ReadonlyArray<NewTask>) =>
  commitAt((log, nowMillis) => log.commit([TaskOperation.enqueueTasks({ queue, tasks, nowMillis })]))

const retryChunk = (queue: string, id: string | null) =>
  commitAt((log, nowMillis) =>
    log.commit([TaskOperation.retryTasks({ queue, id, limit: enqueueTasksMax, nowMillis })])
  )

/** Ends: each round takes tasks out of the status it looks for, and a round that finds none is the last. */
const inChunks = <E, R>(chunk: Effect.Effect<number, E, R>): Effect.Effect<number, E, R> =>
  Effect.iterate({ total: 0, last: enqueueTasksMax }, {
    while: ({ last }) => last === enqueueTasksMax,
    body: ({ total }) => Effect.map(chunk, (count) => ({ total: total + count, last: count }))
  }).pipe(Effect.map(({ total }) => total))

const payloadBytes = (tasks: ReadonlyArray<NewTask>): number =>
  tasks.reduce((sum, task) => sum + Encoded.byteLength(task.payload), 0)

const splitByBytes = (tasks: ReadonlyArray<NewTask>): ReadonlyArray<ReadonlyArray<NewTask>> => {
  const chunks: Array<Array<NewTask>> = []
  let bytes = Infinity
  for (const task of tasks) {
    const size = Encoded.byteLength(task.payload)
    if (bytes + size > enqueueBytesMax) {
      chunks.push([])
      bytes = 0
    }
    bytes += size
    chunks[chunks.length - 1]?.push(task)
  }
  return chunks
}
