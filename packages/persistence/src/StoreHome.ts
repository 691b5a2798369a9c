/**
 * A store remembers where it lives, so that a copy of it does not run the same work a second time.
 */
import * as fs from "node:fs"
import type { SqlPlan } from "./SqlPlan.ts"
import { query } from "./SqlPlan.ts"
import { StorageFailure } from "./StorageFailure.ts"

/** Where a store lives: the real path of its file, and its inode. */
export interface StoreHome {
  readonly path: string
  readonly inode: number
}

/** Where a file is now. */
export const of = (filename: string): StoreHome => ({
  path: fs.realpathSync(filename),
  inode: fs.statSync(filename).ino
})

/** Fails where both path and inode are others than the store remembers; takes note of one that changed. */
export function* check(home: StoreHome): SqlPlan<void> {
  const rows = yield* query<{ readonly home_path: string; readonly home_inode: number }>(
    "SELECT home_path, home_inode FROM store"
  )
  const known = rows[0]
  if (known === undefined || (known.home_path === home.path && known.home_inode === home.inode)) return
  if (known.home_path !== home.path && known.home_inode !== home.inode) {
    const detail =
      `${home.path} is a copy of the store at ${known.home_path}, and both would do the same work: ` +
      `run "holdfast db adopt" if this copy is to be used instead`
    throw new StorageFailure({ reason: "Unsupported", detail })
  }
  yield* adopt(home)
}

/** Makes the store remember this home. */
export function* adopt(home: StoreHome): SqlPlan<void> {
  yield* query("UPDATE store SET home_path = ?, home_inode = ?", [home.path, home.inode])
}

/** Whether the file at this name is the one that was opened. */
export const isSame = (filename: string, inode: number): boolean => inodeOf(filename) === inode

/** Why a store cannot be used any more whose file is not at its name. */
export const movedAway = (filename: string): StorageFailure =>
  inodeOf(filename) === undefined
    ? new StorageFailure({ reason: "NotFound", detail: `${filename} was removed while it was in use` })
    : new StorageFailure({
      reason: "Unsupported",
      detail: `${filename} was replaced by another file while it was in use`
    })

const inodeOf = (filename: string): number | undefined =>
  fs.statSync(filename, { throwIfNoEntry: false })?.ino
