/**
 * A SQL plan is what to do inside one transaction, as a generator that yields statements and is handed their answers.
 *
 * It does no input or output of its own, so the same plan runs in one synchronous turn on SQLite and awaits each answer
 * on a database across a socket.
 */
import * as Data from "effect/Data"

/** What a statement takes and a row holds. */
export type SqlValue = string | number | null

/** A statement and its parameters, in the order of its question marks. */
export interface Statement {
  readonly sql: string
  readonly params: ReadonlyArray<SqlValue>
}

/** A row by column name. */
export type Row = Readonly<Record<string, SqlValue>>

/** A plan that ends with `A`. */
export type SqlPlan<A> = Generator<Statement, A, ReadonlyArray<Row>>

/** A statement that the database could not execute for its own reasons; thrown into the plan where it was yielded. */
export class StatementFailure extends Data.TaggedError("StatementFailure")<{ readonly detail: string }> {}

/** Executes one statement. The row type is the statement's own: its columns are named in its text. */
export function* query<R>(sql: string, params: ReadonlyArray<SqlValue> = []): SqlPlan<ReadonlyArray<R>> {
  return (yield { sql, params }) as ReadonlyArray<unknown> as ReadonlyArray<R>
}

/** The most rows one statement takes. */
export const rowsMax = 128

/**
 * Executes a statement for many rows, in chunks whose sizes are powers of two, so that few different texts are prepared.
 * `text` is given the row placeholders, `(?,?),(?,?)`; answers are concatenated.
 */
export function* queryRows<R>(
  rows: ReadonlyArray<ReadonlyArray<SqlValue>>,
  text: (placeholders: string) => string
): SqlPlan<ReadonlyArray<R>> {
  if (rows.length === 1) return yield* query<R>(text(placeholdersOf(1, rows[0]?.length ?? 0)), rows[0])
  const answers: Array<R> = []
  let at = 0
  while (at < rows.length) {
    const size = chunkSize(rows.length - at)
    const chunk = rows.slice(at, at + size)
    const width = chunk[0]?.length ?? 0
    answers.push(...(yield* query<R>(text(placeholdersOf(size, width)), chunk.flat())))
    at += size
  }
  return answers
}

/** Executes a statement for a list of single values, `(?,?,?)`, in chunks as `queryRows` does. */
export function* queryIn<R>(
  values: ReadonlyArray<SqlValue>,
  text: (placeholders: string) => string,
  before: ReadonlyArray<SqlValue> = []
): SqlPlan<ReadonlyArray<R>> {
  const answers: Array<R> = []
  let at = 0
  while (at < values.length) {
    const size = chunkSize(values.length - at)
    const params = [...before, ...values.slice(at, at + size)]
    answers.push(...(yield* query<R>(text(placeholdersOf(1, size)), params)))
    at += size
  }
  return answers
}

/** The largest power of two that is at most `count`, and at most `rowsMax`. */
export const chunkSize = (count: number): number => Math.min(rowsMax, 2 ** Math.floor(Math.log2(count)))

const cache = new Map<number, string>()

/** `(?,?),(?,?)`. The cache is bounded: sizes are powers of two up to `rowsMax`, widths those of our statements. */
const placeholdersOf = (rows: number, width: number): string => {
  const key = rows * 4096 + width
  const cached = cache.get(key)
  if (cached !== undefined) return cached
  const row = `(${Array.from({ length: width }, () => "?").join(",")})`
  const text = Array.from({ length: rows }, () => row).join(",")
  cache.set(key, text)
  return text
}
