/**
 * The `--out` file: one line per finished task, written as the batch goes, each exactly once whatever crashed.
 *
 * It is a projection of what is committed. A writer that starts compares the file with the store and goes on behind what
 * is there; a lock keeps it to one writer at a time.
 */
import type { TaskStore } from "@holdfast/agents/TaskStore"
import type { StorageError } from "@holdfast/core/StorageError"
import type * as FileLock from "@holdfast/persistence/FileLock"
import { whileBusy } from "@holdfast/persistence/SqliteReader"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Failure from "../Failure.ts"
import { resultLine } from "./BatchTask.ts"
import * as OutLines from "./OutLines.ts"
import * as OutLock from "./OutLock.ts"

/** How many finished tasks are read at once. */
const pageSize = 200

/** A file that follows a queue. */
export interface OutFile {
  /** Writes what has finished since the last time, if this process is the one that writes; says whether it is. */
  readonly follow: Effect.Effect<boolean, StorageError | Failure.Failure>
  /** Follows, and leaves each task with its last result alone, where one was retried by hand. */
  readonly complete: Effect.Effect<boolean, StorageError | Failure.Failure>
}

/** Fails when the file holds something that no batch has written; an absent or empty one is fine. */
export const check = (file: string): Effect.Effect<void, Failure.Failure> =>
  Effect.flatten(accessing(file, () => {
    const stat = fs.statSync(file, { throwIfNoEntry: false })
    if (stat === undefined) return Either.void
    if (!stat.isFile()) return Either.left(Failure.usage(`${file}: this is not a regular file`))
    const foreign = Either.getLeft(OutLines.read(file))
    return Option.isNone(foreign) ? Either.void : Either.left(Failure.usage(
      `${file}:${foreign.value}: this is not the output of a batch; remove the file or name another`
    ))
  }))

/** Makes the follower of a queue; the file's lock lies beside the database. */
export const make = (
  file: string,
  database: string,
  queue: string,
  store: TaskStore["Type"]
): Effect.Effect<OutFile, never, Scope.Scope> =>
  Effect.gen(function*() {
    const name = createHash("sha256").update(path.resolve(file)).digest("hex").slice(0, 16)
    const state: State = {
      file,
      lockFile: `${database}.out-${name}`,
      queue,
      store,
      lock: null,
      descriptor: null,
      after: 0,
      indices: new Set(),
      stale: false
    }
    yield* Effect.addFinalizer(() => Effect.sync(() => release(state)))
    const follow = Effect.tap(acquire(state), (mine) => mine ? append(state) : Effect.void)
    return {
      follow,
      complete: Effect.tap(follow, (mine) => mine ? settle(state) : Effect.void)
    }
  })

interface State {
  readonly file: string
  readonly lockFile: string
  readonly queue: string
  readonly store: TaskStore["Type"]
  lock: FileLock.FileLock | null
  descriptor: number | null
  /** The finish sequence of the last line written. */
  after: number
  /** The tasks that have a line. */
  indices: Set<number>
  /** Whether a task has more than one. */
  stale: boolean
}

const release = (state: State): void => {
  if (state.descriptor !== null) fs.closeSync(state.descriptor)
  state.descriptor = null
  state.lock?.release()
  state.lock = null
}

const acquire = (state: State): Effect.Effect<boolean, StorageError | Failure.Failure> =>
  Effect.gen(function*() {
    if (state.lock !== null) return true
    state.lock = yield* whileBusy("out", () => OutLock.tryAcquire(state.lockFile))
    if (state.lock === null) return false
    yield* reconcile(state)
    return true
  })

/** Writes the lines of what finished behind `after`, but for those that stand there already. */
const append = (
  state: State,
  written: ReadonlySet<string> = none
): Effect.Effect<void, StorageError | Failure.Failure> =>
  Effect.gen(function*() {
    const tasks = yield* state.store.finished(state.queue, state.after, pageSize)
    const results = yield* Effect.forEach(tasks, resultLine)
    yield* accessing(state.file, () => {
      state.descriptor ??= fs.openSync(state.file, "a", 0o644)
      const missing = results.filter((result) => !written.has(OutLines.keyOf(result)))
      writeAll(state.descriptor, missing.map((result) => `${JSON.stringify(result)}\n`).join(""))
    })
    for (const { index } of results) {
      if (state.indices.has(index)) state.stale = true
      state.indices.add(index)
    }
    state.after = tasks.at(-1)?.finishSequence ?? state.after
    if (tasks.length === pageSize) return yield* append(state, written)
  })

const none: ReadonlySet<string> = new Set()

/** Compares the file with the store: adds what it lacks, or writes it anew where it holds what it should not. */
const reconcile = (state: State): Effect.Effect<void, StorageError | Failure.Failure> =>
  Effect.gen(function*() {
    const lines = yield* accessing(state.file, () => readWhole(state.file))
    if (Either.isLeft(lines)) {
      return yield* Failure.conflict(`${state.file}:${lines.left}: something else writes to this file`)
    }
    const { keys, repeated } = lines.right
    const kept = !repeated && keys.size === (yield* countFinished(state, keys, 0))
    return yield* kept ? append(state, keys) : rewrite(state)
  })

/** How many finished tasks are among the written ones. */
const countFinished = (
  state: State,
  written: ReadonlySet<string>,
  after: number
): Effect.Effect<number, StorageError> =>
  Effect.gen(function*() {
    if (written.size === 0) return 0
    const tasks = yield* state.store.finished(state.queue, after, pageSize)
    const results = yield* Effect.forEach(tasks, resultLine)
    const found = results.filter((result) => written.has(OutLines.keyOf(result))).length
    const last = tasks.at(-1)?.finishSequence ?? null
    return last === null ? found : found + (yield* countFinished(state, written, last))
  })

/** What is on disk then is what will be read, whatever becomes of the machine. */
const settle = (state: State): Effect.Effect<void, StorageError | Failure.Failure> =>
  Effect.zipRight(
    state.stale ? rewrite(state) : Effect.void,
    accessing(state.file, () => state.descriptor === null ? undefined : fs.fsyncSync(state.descriptor))
  )

const rewrite = (state: State): Effect.Effect<void, StorageError | Failure.Failure> =>
  Effect.zipRight(
    accessing(state.file, () => {
      if (fs.existsSync(state.file)) fs.truncateSync(state.file)
      state.after = 0
      state.indices = new Set()
      state.stale = false
    }),
    append(state)
  )

/** The lines of the file, its torn end cut off. */
const readWhole = (file: string): Either.Either<OutLines.OutLines, number> => {
  if (!fs.existsSync(file)) return Either.right({ keys: new Set(), repeated: false, wholeBytes: 0 })
  return Either.map(OutLines.read(file), (lines) => {
    if (lines.wholeBytes < fs.statSync(file).size) fs.truncateSync(file, lines.wholeBytes)
    return lines
  })
}

const writeAll = (descriptor: number, text: string): void => {
  const bytes = Buffer.from(text)
  let at = 0
  while (at < bytes.length) at += fs.writeSync(descriptor, bytes, at)
}

/** Uses a file; what the system refuses is a failure that names the file. */
const accessing = <A>(file: string, use: () => A): Effect.Effect<A, Failure.Failure> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(use())
    } catch (error) {
      if (!(error instanceof Error && "syscall" in error)) throw error
      return Effect.fail(Failure.file(file, error))
    }
  })
