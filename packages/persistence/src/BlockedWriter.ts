/**
 * A stopped process that holds the write lock stops every writer of the file: it is found, and killed when it is one of
 * our nodes.
 */
import { ProcessMarker, ProcessTable } from "@holdfast/core/node"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import process from "node:process"
import * as NodeRows from "./NodeRows.ts"
import type { SqliteConnection } from "./SqliteConnection.ts"
import * as Sqlite from "./SqliteConnection.ts"
import { StorageFailure } from "./StorageFailure.ts"

/** How long the file has been busy before anybody looks for the holder of its lock: 100 milliseconds. */
export const busyMillisMin = 100

/** The byte of the `-shm` file that a writer locks. **Source** SQLite `wal.c`, WAL_WRITE_LOCK behind UNIX_SHM_BASE. */
const writeLockByte = 120

/**
 * Looks for the holder of a write lock that was never free for `busyMillis`. A stopped one that is a node of this store
 * and past its lease is killed, after the commands it had started; of any other, the answer says who it is. `null` where
 * nobody is to be named.
 */
export const unblock = (
  connection: SqliteConnection,
  filename: string,
  busyMillis: number
): Effect.Effect<string | null> =>
  Effect.suspend(() => {
    const pid = writeLockHolder(`${filename}-shm`)
    if (pid === null || pid === process.pid) return Effect.succeed(null)
    const stat = ProcessTable.processStat(pid)
    const name = `the write lock is held by process ${pid}`
    if (stat?.state.toUpperCase() !== "T") return Effect.succeed(name)
    const node = nodes(connection).find((row) => row.pid === pid && row.process_start === stat.started)
    if (node === undefined) {
      return Effect.succeed(`${name}, which is stopped and not a node: continue or kill it`)
    }
    if (busyMillis <= node.lease_millis) return Effect.succeed(`${name}, which is stopped`)
    return Effect.map(
      Effect.zipRight(ProcessMarker.killMarked(node.id), kill(node)),
      (killed) =>
        `${name}, which is stopped and ${killed ? "was killed" : "cannot be killed: continue or kill it"}`
    )
  })

/** The rows are read past the lock; where they cannot be, nobody is known to be a node. */
const nodes = (connection: SqliteConnection): ReadonlyArray<NodeRows.NodeRow> => {
  try {
    return Sqlite.read(connection, () => NodeRows.all())
  } catch (error) {
    if (error instanceof StorageFailure) return []
    throw error
  }
}

/** `false` where the process is another user's, or has meanwhile gone and given its id to another. */
const kill = ({ pid, process_start }: NodeRows.NodeRow): Effect.Effect<boolean> =>
  Effect.sync(() => {
    try {
      return ProcessTable.processStat(pid)?.started === process_start && process.kill(pid, "SIGKILL")
    } catch {
      return false
    }
  })

/** The process that holds the write lock of a WAL, where the operating system tells (`/proc/locks`). */
export const writeLockHolder = (shm: string): number | null => {
  const inode = fs.statSync(shm, { throwIfNoEntry: false })?.ino
  if (inode === undefined || !fs.existsSync("/proc/locks")) return null
  for (const line of fs.readFileSync("/proc/locks", "utf8").split("\n")) {
    const [, kind, , mode, pid, file, start, end] = line.trim().split(/\s+/)
    // Locks on neighbouring bytes are shown as one.
    const covers = Number(start) <= writeLockByte && writeLockByte <= Number(end)
    if (kind === "POSIX" && mode === "WRITE" && covers && file?.endsWith(`:${inode}`) === true) {
      return Number(pid)
    }
  }
  return null
}
