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

/** The byte of the `-shm` file that a writer locks. **Source** SQLite `wal.c`, WAL_WRITE_LOCK behind UNIX_SHM_BASE. */
const writeLockByte = "120"

/**
 * Looks for the holder of the write lock. A stopped one that is a node of this store is killed, after the commands it
 * had started; of any other, the answer says who it is. `null` where nobody is to be named.
 */
export const unblock = (connection: SqliteConnection, filename: string): Effect.Effect<string | null> =>
  Effect.suspend(() => {
    const pid = writeLockHolder(`${filename}-shm`)
    if (pid === null || pid === process.pid) return Effect.succeed(null)
    const stat = ProcessTable.processStat(pid)
    const node = Sqlite.read(connection, () => NodeRows.all()).find((row) =>
      row.pid === pid && row.process_start === stat?.started
    )
    const name = `the write lock is held by process ${pid}`
    if (stat === undefined || stat.state.toUpperCase() !== "T") return Effect.succeed(name)
    if (node === undefined) {
      return Effect.succeed(`${name}, which is stopped and not a node: continue or kill it`)
    }
    return Effect.as(
      Effect.zipRight(ProcessMarker.killMarked(node.id), kill(pid)),
      `${name}, stopped, now killed`
    )
  })

const kill = (pid: number) => Effect.sync(() => process.kill(pid, "SIGKILL"))

/** The process that holds the write lock of a WAL, where the operating system tells (`/proc/locks`). */
export const writeLockHolder = (shm: string): number | null => {
  const inode = fs.statSync(shm, { throwIfNoEntry: false })?.ino
  if (inode === undefined || !fs.existsSync("/proc/locks")) return null
  for (const line of fs.readFileSync("/proc/locks", "utf8").split("\n")) {
    const [, kind, , mode, pid, file, start, end] = line.trim().split(/\s+/)
    const covers = start === writeLockByte && end === writeLockByte
    if (kind === "POSIX" && mode === "WRITE" && covers && file?.endsWith(`:${inode}`) === true) {
      return Number(pid)
    }
  }
  return null
}
