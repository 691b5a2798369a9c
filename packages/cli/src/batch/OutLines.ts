/**
 * The lines of an `--out` file that is there already: whether a batch wrote them, and which results they tell.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import type { ResultLine } from "./BatchTask.ts"

/** What the file holds. */
export interface OutLines {
  /** A key for each line, see `keyOf`. */
  readonly keys: ReadonlySet<string>
  /** Whether a result stands there twice. */
  readonly repeated: boolean
  /** The length of its whole lines: what is behind them was torn off by a crash. */
  readonly wholeBytes: number
}

/** What of a result tells it from every other of its batch: a task that is retried by hand has another one. */
export const keyOf = (result: Pick<ResultLine, "index" | "status" | "attempts" | "startedAt">): string =>
  `${result.index} ${result.status} ${result.attempts} ${result.startedAt ?? ""}`

/** Reads the file, line by line; the number of the first line that is no result where there is one. */
export const read = (file: string): Either.Either<OutLines, number> => {
  const keys = new Set<string>()
  let wholeBytes = 0
  let line = 0
  for (const { bytes, whole } of linesOf(file)) {
    line += 1
    if (!whole) return isTorn(bytes) ? Either.right(outLines(keys, line - 1, wholeBytes)) : Either.left(line)
    const decoded = decodeLine(bytes.toString("utf8"))
    if (Either.isLeft(decoded)) return Either.left(line)
    keys.add(keyOf(decoded.right))
    wholeBytes += bytes.length + 1
  }
  return Either.right(outLines(keys, line, wholeBytes))
}

const outLines = (keys: ReadonlySet<string>, lines: number, wholeBytes: number): OutLines => ({
  keys,
  repeated: keys.size < lines,
  wholeBytes
})

const decodeLine = Schema.decodeUnknownEither(Schema.parseJson(Schema.Struct({
  index: Schema.Number,
  status: Schema.Literal("ok", "failed", "skipped"),
  attempts: Schema.Number,
  startedAt: Schema.NullOr(Schema.String)
})))

/** How each line of a result begins. */
const head = Buffer.from(`{"index":`)

const isTorn = (bytes: Buffer): boolean =>
  bytes.subarray(0, head.length).equals(head.subarray(0, bytes.length))

const chunkBytes = 1024 * 1024

/** Holds no more of the file than a chunk and a line, however large it is. */
function* linesOf(file: string): Generator<{ readonly bytes: Buffer; readonly whole: boolean }> {
  const descriptor = fs.openSync(file, "r")
  try {
    const chunk = Buffer.alloc(chunkBytes)
    let rest: ReadonlyArray<Buffer> = []
    for (let read = fs.readSync(descriptor, chunk); read > 0; read = fs.readSync(descriptor, chunk)) {
      let from = 0
      for (let end = endOf(chunk, from, read); end >= 0; end = endOf(chunk, from, read)) {
        yield { bytes: Buffer.concat([...rest, chunk.subarray(from, end)]), whole: true }
        rest = []
        from = end + 1
      }
      if (from < read) rest = [...rest, Buffer.from(chunk.subarray(from, read))]
    }
    if (rest.length > 0) yield { bytes: Buffer.concat(rest), whole: false }
  } finally {
    fs.closeSync(descriptor)
  }
}

const endOf = (chunk: Buffer, from: number, until: number): number => {
  const end = chunk.indexOf(10, from)
  return end < until ? end : -1
}
