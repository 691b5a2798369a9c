/**
 * A user statement is SQL that is not ours: some kinds of it are refused, since they would end or outlive what they run in.
 */

/**
 * The first word of a statement that users may not execute, in capitals; `null` for any other.
 *
 * Refused are statements of transactions, and those that change the connection itself: `ATTACH`, `DETACH`, `PRAGMA`,
 * `VACUUM`. What a pragma says is read with its function: `SELECT * FROM pragma_table_info('orders')`.
 */
export const refusedWord = (sql: string): string | null => {
  const word = firstWord(sql)
  return refused.has(word) ? word : null
}

const refused = new Set([
  "ATTACH",
  "BEGIN",
  "COMMIT",
  "DETACH",
  "END",
  "PRAGMA",
  "RELEASE",
  "ROLLBACK",
  "SAVEPOINT",
  "VACUUM"
])

const firstWord = (sql: string): string => {
  const start = before.exec(sql)?.[0].length ?? 0
  return /^\w*/.exec(sql.slice(start))?.[0].toUpperCase() ?? ""
}

/** What SQLite skips: white space, semicolons and comments. */
const before = /^(?:[\s;]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))*/
