/**
 * The contents of a package directory: its own files, without the packages installed below it.
 */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"

/** Counts, and one SHA-256 (hex) over every path, size and content: it changes when any of them does. */
export interface Contents {
  readonly files: number
  readonly bytes: number
  readonly symlinks: number
  readonly sha256: string
}

/**
 * Counts and hashes what a package directory holds. Files are read in pieces of 64 KiB.
 *
 * The `node_modules` directly inside it is left out: its packages are counted as themselves. Symbolic links
 * are counted and hashed by their target, never followed; pipes, sockets and devices are left out.
 */
export const measure = (directory: string): Contents => {
  const total = Crypto.createHash("sha256")
  let files = 0
  let bytes = 0
  let symlinks = 0
  for (const { path, isLink } of sortedEntries(directory)) {
    const file = Path.join(directory, path)
    if (isLink) {
      symlinks++
      total.update(`${JSON.stringify([path, "symlink", Fs.readlinkSync(file)])}\n`)
    } else {
      const { size, sha256 } = hashFile(file)
      files++
      bytes += size
      total.update(`${JSON.stringify([path, size, sha256])}\n`)
    }
  }
  return { files, bytes, symlinks, sha256: total.digest("hex") }
}

/** Reads the first `bytesMax` bytes of a file as UTF-8. */
export const readStart = (file: string, bytesMax: number): string => {
  const pieces: Array<Buffer> = []
  let left = bytesMax
  for (const piece of pieces64k(file)) {
    pieces.push(Buffer.from(piece.subarray(0, left)))
    left -= piece.length
    if (left <= 0) break
  }
  return Buffer.concat(pieces).toString("utf8")
}

// internal

interface Entry {
  readonly path: string
  readonly isLink: boolean
}

const sortedEntries = (directory: string): ReadonlyArray<Entry> =>
  entriesBelow(directory, "").sort((left, right) => left.path < right.path ? -1 : 1)

const entriesBelow = (directory: string, prefix: string): Array<Entry> =>
  Fs.readdirSync(Path.join(directory, prefix), { withFileTypes: true }).flatMap((entry) => {
    const path = `${prefix}${entry.name}`
    if (entry.isDirectory()) return path === "node_modules" ? [] : entriesBelow(directory, `${path}/`)
    return entry.isFile() || entry.isSymbolicLink() ? [{ path, isLink: entry.isSymbolicLink() }] : []
  })

const hashFile = (file: string) => {
  const hash = Crypto.createHash("sha256")
  let size = 0
  for (const piece of pieces64k(file)) {
    hash.update(piece)
    size += piece.length
  }
  return { size, sha256: hash.digest("hex") }
}

const buffer = Buffer.allocUnsafe(64 * 1024)

/** Every piece is a view of the same buffer: use it before asking for the next. */
function* pieces64k(file: string): Generator<Buffer> {
  const descriptor = Fs.openSync(file, "r")
  try {
    for (let count = 1; count > 0;) {
      count = Fs.readSync(descriptor, buffer, 0, buffer.length, null)
      if (count > 0) yield buffer.subarray(0, count)
    }
  } finally {
    Fs.closeSync(descriptor)
  }
}
