/**
 * Checkpoints move the WAL into the database on a thread of their own, so that no commit waits for it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import { Worker } from "node:worker_threads"

/** The WAL is checkpointed when it has grown past this: 4 MiB. */
export const passiveBytes = 4 * 1024 * 1024

/** Past this it is truncated as well, which makes writers wait: 64 MiB. **Source** `durability.md`, rule 8. */
export const truncateBytes = 64 * 1024 * 1024

/** Checkpoints of one file. */
export interface Checkpoints {
  /** Checkpoints once where the WAL has grown enough since the last time. */
  readonly look: Effect.Effect<void>
}

/** Starts no thread before there is something to do; it ends with the scope. */
export const make = (filename: string): Effect.Effect<Checkpoints, never, Scope.Scope> =>
  Effect.gen(function*() {
    const state: State = { filename, worker: null, lastModified: 0, answer: nobody }
    yield* Effect.addFinalizer(() => Effect.promise(async () => void await state.worker?.terminate()))
    return {
      look: Effect.suspend(() => {
        const wal = fs.statSync(`${filename}-wal`, { throwIfNoEntry: false })
        if (wal === undefined || wal.size < passiveBytes || wal.mtimeMs === state.lastModified) {
          return Effect.void
        }
        state.lastModified = wal.mtimeMs
        return checkpoint(state, wal.size >= truncateBytes ? "TRUNCATE" : "PASSIVE")
      })
    }
  })

interface State {
  readonly filename: string
  worker: Worker | null
  lastModified: number
  /** Called when the thread has done what it was asked, or has died of a bug. */
  answer: (ended: Effect.Effect<void>) => void
}

const nobody = () => undefined

const checkpoint = (state: State, mode: "PASSIVE" | "TRUNCATE"): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    state.answer = resume
    state.worker ??= start(state)
    state.worker.postMessage(mode)
    return Effect.sync(() => {
      state.answer = nobody
    })
  })

const start = (state: State): Worker => {
  const driver = createRequire(import.meta.url).resolve("better-sqlite3")
  const worker = new Worker(program, { eval: true, workerData: { driver, filename: state.filename } })
  worker.on("message", () => state.answer(Effect.void))
  worker.on("error", (error) => {
    state.worker = null
    state.answer(Effect.die(error))
  })
  worker.unref()
  return worker
}

/**
 * Given as text, so that it runs alike from source, from a build and from a bundle. What SQLite cannot do now, as on a
 * busy file, is left for next time.
 */
const program = `
const { parentPort, workerData } = require("node:worker_threads")
const Database = require(workerData.driver)
let database = null
parentPort.on("message", (mode) => {
  try {
    database ??= new Database(workerData.filename, { timeout: 50, fileMustExist: true })
    database.pragma("wal_checkpoint(" + mode + ")")
  } catch (error) {
    if (!String(error.code).startsWith("SQLITE_")) throw error
  }
  parentPort.postMessage(mode)
})
`
