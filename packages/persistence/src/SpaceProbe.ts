/**
 * A space probe asks the operating system why a file cannot grow, which SQLite calls a disk I/O error where it is a limit
 * on the size of files, a quota or a full disk that was noticed late.
 */
import * as fs from "node:fs"
import { detailOf, reasonOf, StorageFailure } from "./StorageFailure.ts"

/** How far behind the end of the largest file is tried: more than SQLite lets a file grow by at once. */
const beyondBytes = 64 * 1024

/** The same failure, or what writing behind the end of the store's files fails with. */
export const explain = (failure: StorageFailure, filename: string): StorageFailure => {
  const end = Math.max(...["", "-wal", "-shm"].map((suffix) => sizeOf(filename + suffix)))
  const probe = `${filename}.probe-${globalThis.crypto.randomUUID()}`
  try {
    writeAt(probe, end + beyondBytes)
    return failure
  } catch (error) {
    return new StorageFailure({ reason: reasonOf(error) ?? failure.reason, detail: detailOf(error) })
  } finally {
    fs.rmSync(probe, { force: true })
  }
}

const sizeOf = (file: string): number => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0

const writeAt = (file: string, position: number): void => {
  const descriptor = fs.openSync(file, "wx", 0o600)
  try {
    fs.writeSync(descriptor, "0", position)
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}
