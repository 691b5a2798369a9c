/**
 * The lock of a file that several processes of a batch may want to write: one at a time has it, and no longer than it lives.
 */
import * as FileLock from "@holdfast/persistence/FileLock"
import * as fs from "node:fs"

/**
 * Takes the lock, `null` while another process has it. The same name is used again and again: a lock counts only where
 * its file is the one that was there before. Throws `StorageFailure`.
 */
export const tryAcquire = (file: string): FileLock.FileLock | null => {
  if (!fs.existsSync(file)) fs.closeSync(fs.openSync(file, "a", 0o600))
  const before = identityOf(file)
  const lock = FileLock.proveFree(file)
  if (lock === null || (before !== null && before === identityOf(file))) return lock
  // Its holder removed the file meanwhile, and what lies there now is somebody else's.
  lock.giveBack()
  return null
}

/** An inode is used again for another file; its time of birth, in nanoseconds, is not. */
const identityOf = (file: string): string | null => {
  const stat = fs.statSync(file, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? null : `${stat.dev}:${stat.ino}:${stat.birthtimeNs}`
}
