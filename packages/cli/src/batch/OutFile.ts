/**
 * The `--out` file: one line per finished task, written as the batch goes, each exactly once whatever crashed.
 *
 * It is a projection of what is committed. A writer that starts compares the file with the store and goes on behind what
 * is there; a lock keeps it to one writer at a time.
 */
import type { StorageError } from "@holdfast/agents/CommitLog"
import type { Task } from "@holdfast/agents/Task"
import type { TaskStore } from "@holdfast/agents/TaskStore"
import * as FileLock from "@holdfast/persistence/FileLock"
import { whileBusy } from "@holdfast/persistence/SqliteReader"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Failure from "../Failure.ts"
import { resultLine } from "./BatchTask.ts"

/** How many finished tasks are read at once. */
const pageSize = 200

/** A file that follows a queue. */
export interface OutFile {
  /** Writes what has finished since the last time, if this process is the one that writes; says whether it is. */
  readonly follow: Effect.Effect<boolean, StorageError | Failure.Failure>
}

const Line = Schema.parseJson(Schema.Struct({
  index: Schema.Number,
  status: Schema.String,
  attempts: Schema.Number,
  startedAt: Schema.NullOr(Schema.String)
}))

const decodeLine = Schema.decodeUnknownEither(Line)

/** Fails when the file holds something that no batch has written; an absent or empty one is fine. */
export const check = (file: string): Effect.Effect<void, Failure.Failure> =>
  accessing(file, () => {
    if (!fs.existsSync(file) || fs.statSync(file).size === 0) return Either.void
    const start = readStart(file)
    const end = start.indexOf("\n")
    // A first line that is cut off can be a crash's; the rest is compared when it is written.
    if (end < 0 || Either.isRight(decodeLine(start.slice(0, end)))) return Either.void
    return Either.left(
      Failure.usage(`${file}: this file is not the output of a batch; remove it or name another`)
    )
  }).pipe(Effect.flatten)

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
      after: 0
    }
    yield* Effect.addFinalizer(() => Effect.sync(() => release(state)))
    return {
      follow: Effect.flatMap(
        acquire(state),
        (mine) => (mine ? Effect.as(append(state), true) : Effect.succeed(false))
      )
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
}

const release = (state: State): void => {
  if (state.descriptor !== null) {
    fs.fsyncSync(state.descriptor)
    fs.closeSync(state.descriptor)
  }
  state.descriptor = null
  state.lock?.release()
  state.lock = null
}

const acquire = (state: State): Effect.Effect<boolean, StorageError | Failure.Failure> =>
  Effect.gen(function*() {
    if (state.lock !== null) return true
    state.lock = yield* whileBusy("out", () => FileLock.tryAcquire(state.lockFile))
    if (state.lock === null) return false
    yield* reconcile(state)
    return true
  })

/** Writes the lines of what finished behind `after`. */
const append = (state: State): Effect.Effect<void, StorageError | Failure.Failure> =>
  Effect.gen(function*() {
    const tasks = yield* state.store.finished(state.queue, state.after, pageSize)
    const lines = yield* Effect.forEach(tasks, line)
    yield* accessing(state.file, () => {
      state.descriptor ??= fs.openSync(state.file, "a", 0o644)
      writeAll(state.descriptor, lines.join(""))
      state.after = tasks.at(-1)?.finishSequence ?? state.after
    })
    if (tasks.length === pageSize) return yield* append(state)
  })

const line = (task: Task) => Effect.map(resultLine(task), (result) => `${JSON.stringify(result)}\n`)

/** Compares the file with the store: keeps it where every line is one of the store's, else writes it anew. */
const reconcile = (state: State): Effect.Effect<void, StorageError | Failure.Failure> =>
  Effect.gen(function*() {
    const written = yield* accessing(state.file, () => readLines(state.file))
    const missing = Option.isNone(written) ? null : yield* compare(state, written.value)
    yield* accessing(state.file, () => {
      state.after = 0
      if (missing === null) fs.rmSync(state.file, { force: true })
      state.descriptor = fs.openSync(state.file, "a", 0o644)
    })
    if (missing === null) return
    yield* accessing(state.file, () => {
      if (state.descriptor !== null) writeAll(state.descriptor, missing.lines.join(""))
      state.after = missing.after
    })
  })

interface Missing {
  readonly lines: ReadonlyArray<string>
  readonly after: number
}

/** The lines the file lacks of what has finished; `null` when it holds one that it should not. */
const compare = (
  state: State,
  written: ReadonlySet<string>
): Effect.Effect<Missing | null, StorageError> =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    let found = 0
    let after = 0
    while (true) {
      const tasks = yield* state.store.finished(state.queue, after, pageSize)
      for (const task of tasks) {
        const result = yield* resultLine(task)
        if (written.has(keyOf(result))) found += 1
        else lines.push(`${JSON.stringify(result)}\n`)
        after = task.finishSequence ?? after
      }
      if (tasks.length < pageSize) return found === written.size ? { lines, after } : null
    }
  })

const keyOf = (
  result: {
    readonly index: number
    readonly status: string
    readonly attempts: number
    readonly startedAt: string | null
  }
) => `${result.index} ${result.status} ${result.attempts} ${result.startedAt ?? ""}`

/** The keys of the file's lines, its torn end cut off; `none` where a line is no result, or stands there twice. */
const readLines = (file: string): Option.Option<ReadonlySet<string>> => {
  const keys = new Set<string>()
  if (!fs.existsSync(file)) return Option.some(keys)
  const text = fs.readFileSync(file, "utf8")
  const whole = text.slice(0, text.lastIndexOf("\n") + 1)
  if (whole.length < text.length) fs.truncateSync(file, Buffer.byteLength(whole))
  const lines = whole.split("\n").slice(0, -1)
  for (const item of lines) {
    const decoded = decodeLine(item)
    if (Either.isLeft(decoded)) return Option.none()
    keys.add(keyOf(decoded.right))
  }
  return keys.size === lines.length ? Option.some(keys) : Option.none()
}

const readStart = (file: string): string => {
  const descriptor = fs.openSync(file, "r")
  try {
    const buffer = Buffer.alloc(256 * 1024)
    return buffer.subarray(0, fs.readSync(descriptor, buffer)).toString("utf8")
  } finally {
    fs.closeSync(descriptor)
  }
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
