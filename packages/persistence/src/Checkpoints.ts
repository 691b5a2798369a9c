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
    const state: { worker: Worker | null; lastModified: number } = { worker: null, lastModified: 0 }
    yield* Effect.addFinalizer(() => Effect.promise(async () => void await state.worker?.terminate()))
    return {
      look: Effect.suspend(() => {
        const wal = fs.statSync(`${filename}-wal`, { throwIfNoEntry: false })
        if (wal === undefined || wal.size < passiveBytes || wal.mtimeMs === state.lastModified) {
          return Effect.void
        }
        state.lastModified = wal.mtimeMs
        state.worker ??= start(filename)
        return checkpoint(state.worker, wal.size >= truncateBytes ? "TRUNCATE" : "PASSIVE")
      })
    }
  })

const checkpoint = (worker: Worker, mode: "PASSIVE" | "TRUNCATE"): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    const done = () => resume(Effect.void)
    worker.once("message", done)
    worker.postMessage(mode)
    return Effect.sync(() => void worker.off("message", done))
  })

const start = (filename: string): Worker => {
  const driver = createRequire(import.meta.url).resolve("better-sqlite3")
  const worker = new Worker(program, { eval: true, workerData: { driver, filename } })
  worker.unref()
  return worker
}

/** Given as text, so that it runs alike from source, from a build and from a bundle. A busy file is left for next time. */
const program = `
const { parentPort, workerData } = require("node:worker_threads")
const database = new (require(workerData.driver))(workerData.filename, { timeout: 50, fileMustExist: true })
parentPort.on("message", (mode) => {
  try {
    database.pragma("wal_checkpoint(" + mode + ")")
  } catch (error) {
    if (!String(error.code).startsWith("SQLITE_")) throw error
  }
  parentPort.postMessage(mode)
})
`
