import { describe, expect, it } from "@effect/vitest"
import * as Checkpoints from "@holdfast/persistence/Checkpoints"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as FileSystem from "node:fs"
import { eventually } from "../support/command-processes.ts"
import { temporaryStore } from "../support/store-processes.ts"
import { enqueue, ids } from "../support/store-tasks.ts"

const mebibyte = 1024 * 1024

const payload = JSON.stringify("x".repeat(mebibyte - 100))

const sizeOf = (file: string) => FileSystem.statSync(file, { throwIfNoEntry: false })?.size ?? 0

/** How many frames of the WAL are in use. */
const walFrames = (filename: string): number => {
  const database = new Database(filename, { readonly: true })
  const [state] = database.pragma("wal_checkpoint(NOOP)") as ReadonlyArray<{ readonly log: number }>
  database.close()
  return state?.log ?? 0
}

/** An open store, and how to put so many mebibytes into it. */
const openStore = Effect.gen(function*() {
  const filename = yield* temporaryStore
  const store = yield* Layer.build(Sqlite.layer({ filename }))
  const write = (name: string, mebibytes: number) =>
    Effect.forEach(ids(name, mebibytes), (id) => enqueue("work", [id], { payload }), {
      concurrency: 4,
      discard: true
    }).pipe(Effect.provide(store))
  return { filename, wal: `${filename}-wal`, write }
})

/** A WAL of a few MiB, written by nobody who checkpoints it. */
const ownWal = Effect.gen(function*() {
  const filename = yield* temporaryStore
  const database = yield* Effect.acquireRelease(
    Effect.sync(() => new Database(filename)),
    (database) => Effect.sync(() => database.close())
  )
  database.pragma("journal_mode = WAL")
  database.pragma("wal_autocheckpoint = 0")
  database.exec("CREATE TABLE t (x)")
  const insert = database.prepare("INSERT INTO t VALUES (?)")
  return { filename, wal: `${filename}-wal`, write: (bytes: number) => insert.run("x".repeat(bytes)) }
})

/** Whether a look ends at once, without waiting for the thread. */
const asksNobody = (checkpoints: Checkpoints.Checkpoints) =>
  Exit.isSuccess(Effect.runSyncExit(checkpoints.look))

describe("checkpoints", () => {
  it.scopedLive("move a WAL of more than 4 MiB into the database, and leave it to be written over", () =>
    Effect.gen(function*() {
      const { filename, wal, write } = yield* openStore
      yield* write("first", 6)
      yield* eventually(() => sizeOf(filename) > 6 * mebibyte)
      // Whoever writes next after a whole checkpoint, if only a heartbeat, starts at the front again.
      yield* eventually(() => walFrames(filename) < 50)
      const walBytes = sizeOf(wal)
      yield* write("second", 3)
      expect(sizeOf(wal)).toBe(walBytes)
    }))

  it.scopedLive("truncate one of more than 64 MiB as soon as no reader needs it", () =>
    Effect.gen(function*() {
      const { filename, wal, write } = yield* openStore
      const reader = yield* Effect.acquireRelease(
        Effect.sync(() => new Database(filename, { readonly: true })),
        (reader) => Effect.sync(() => reader.close())
      )
      reader.exec("BEGIN; SELECT COUNT(*) FROM tasks")
      yield* write("held", 66)
      expect(sizeOf(wal)).toBeGreaterThan(Checkpoints.truncateBytes)
      reader.exec("COMMIT")
      yield* eventually(() => sizeOf(wal) < mebibyte)
      expect(sizeOf(filename)).toBeGreaterThan(60 * mebibyte)
    }))

  it.scopedLive("are not made of a small WAL, nor again of one that has not changed", () =>
    Effect.gen(function*() {
      const { filename, wal, write } = yield* ownWal
      const checkpoints = yield* Checkpoints.make(filename)
      write(3 * mebibyte)
      expect(asksNobody(checkpoints)).toBe(true)
      write(2 * mebibyte)
      expect(asksNobody(checkpoints)).toBe(false)
      yield* eventually(() => sizeOf(filename) > 5 * mebibyte)
      expect(asksNobody(checkpoints)).toBe(true)
      expect(sizeOf(wal)).toBeGreaterThan(Checkpoints.passiveBytes)
      write(1)
      expect(asksNobody(checkpoints)).toBe(false)
    }))

  it.scopedLive("survive a file that cannot be opened, and go on when it can", () =>
    Effect.gen(function*() {
      const { filename, write } = yield* ownWal
      write(5 * mebibyte)
      const checkpoints = yield* Checkpoints.make(filename)
      FileSystem.renameSync(filename, `${filename}.away`)
      yield* checkpoints.look
      FileSystem.renameSync(`${filename}.away`, filename)
      write(1)
      yield* checkpoints.look
      expect(sizeOf(filename)).toBeGreaterThan(5 * mebibyte)
    }))
})
