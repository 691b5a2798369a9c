/**
 * A SQLite connection set up as durability asks, and the transactions that run on it in one synchronous turn.
 */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Migrations from "./Migrations.ts"
import * as SpaceProbe from "./SpaceProbe.ts"
import type { SqlPlan, SqlValue, Statement } from "./SqlPlan.ts"
import { StatementFailure } from "./SqlPlan.ts"
import { detailOf, reasonOf, StorageFailure } from "./StorageFailure.ts"

/** The oldest SQLite that is accepted: before it a WAL reset could damage the file. **Source** SQLite 3.51.3 notes. */
export const versionMinimum = "3.51.3"

/** How long a statement may block the process while another one holds the file, in milliseconds. */
export const busyTimeoutMillis = 3

/** How large the WAL may grow, in pages of 4 KiB, before a commit has to checkpoint it: 256 MiB. */
const autoCheckpointPages = 65_536

/** The statements of one connection; all of them throw what the driver throws. */
export interface SqliteConnection {
  readonly execute: (statement: Statement) => ReadonlyArray<Record<string, SqlValue>>
  /** Executes a statement that is not ours. */
  readonly query: (query: UserQuery) => unknown
  readonly inTransaction: () => boolean
  readonly close: () => void
}

/** A statement of a user's, and how its answer is wanted. */
export interface UserQuery {
  readonly sql: string
  readonly params: ReadonlyArray<unknown>
  /** Rows by column name; rows as lists of values; or, of a statement that has none, what the driver says of it. */
  readonly answer: "rows" | "values" | "raw"
  /** Whether integers are answered as `bigint`. */
  readonly bigints: boolean
}

/** How a transaction ended. */
export type Transaction<A> =
  | { readonly _tag: "Committed"; readonly value: A }
  /** The plan asked for it, or a statement failed for its own reasons: nothing was written. */
  | { readonly _tag: "RolledBack"; readonly statement: StatementFailure | null }
  /** Nothing was written. */
  | { readonly _tag: "Failed"; readonly failure: StorageFailure }
  /** COMMIT itself failed: whether it was written must be learnt from a new connection. */
  | { readonly _tag: "Uncertain"; readonly failure: StorageFailure }

/** What a plan may yield to end its transaction without a trace. */
export const rollback: unique symbol = Symbol("rollback")

/** Opens a file for writing, creating it with mode 0600, and sets it up; throws `StorageFailure`. */
export const open = (filename: string): SqliteConnection =>
  opening(filename, () => {
    refuseNetwork(path.dirname(path.resolve(filename)))
    if (isThere(filename)) requireWritable(filename)
    else createPrivate(filename)
    return setUp(filename, Migrations.currentVersion)
  })

/** Opens an existing store for writing; throws `StorageFailure`. */
export const openExisting = (filename: string): SqliteConnection =>
  opening(filename, () => {
    refuseNetwork(path.dirname(path.resolve(filename)))
    requireFile(filename)
    requireWritable(filename)
    return setUp(filename, () => Migrations.requireStore(filename))
  })

/** Opens an existing file that this connection cannot write; throws `StorageFailure`. */
export const openReadOnly = (filename: string): SqliteConnection =>
  opening(filename, () => {
    requireFile(filename)
    fs.accessSync(filename, fs.constants.R_OK)
    const options = { timeout: busyTimeoutMillis, readonly: true, fileMustExist: true }
    return fromDatabase(new Database(filename, options))
  })

/**
 * Runs a plan between BEGIN IMMEDIATE and COMMIT without letting anything else run, rolling back what an earlier
 * transaction may have left.
 */
export const transact = <A>(
  connection: SqliteConnection,
  plan: () => SqlPlan<A | typeof rollback>
): Transaction<A> => {
  try {
    start(connection)
  } catch (error) {
    return notCommitted(connection, error)
  }
  return finish(connection, plan)
}

/**
 * Begins a transaction that outlives this turn, rolling back what an earlier one may have left, and reads or writes in it;
 * throws `StorageFailure`.
 */
export const begin = <A>(connection: SqliteConnection, plan: () => SqlPlan<A>): A =>
  guarded(() => {
    start(connection)
    return run(connection, plan())
  })

/** Ends a transaction that has begun with a plan and COMMIT. */
export const finish = <A>(
  connection: SqliteConnection,
  plan: () => SqlPlan<A | typeof rollback>
): Transaction<A> => {
  let value: A | typeof rollback
  try {
    value = run(connection, plan())
  } catch (error) {
    return notCommitted(connection, error)
  }
  if (value === rollback) return notCommitted(connection, null)
  try {
    execute(connection, "COMMIT")
    return { _tag: "Committed", value }
  } catch (error) {
    // A constraint that waits for the COMMIT is broken by a statement.
    if (isStatements(error)) {
      return notCommitted(connection, new StatementFailure({ detail: detailOf(error) }))
    }
    return { _tag: "Uncertain", failure: toFailure(error) }
  }
}

/** Ends a transaction that has begun without a trace, where there is one; the next one sees to what this cannot end. */
export const abandon = (connection: SqliteConnection): void => void notCommitted(connection, null)

/** The value of a transaction that must not be refused; throws what went wrong. */
export const committed = <A>(ended: Transaction<A>): A => {
  switch (ended._tag) {
    case "Committed":
      return ended.value
    case "RolledBack":
      throw ended.statement ?? new Error("A transaction was rolled back that never asks for it")
    default:
      throw ended.failure
  }
}

/** Runs a plan of reads; throws `StorageFailure`. */
export const read = <A>(connection: SqliteConnection, plan: () => SqlPlan<A>): A =>
  guarded(() => run(connection, plan()))

const start = (connection: SqliteConnection): void => {
  if (connection.inTransaction()) execute(connection, "ROLLBACK")
  execute(connection, "BEGIN IMMEDIATE")
}

const isStatements = (error: unknown): boolean =>
  !(error instanceof StorageFailure) && reasonOf(error) === null

const execute = (connection: SqliteConnection, sql: string) => connection.execute({ sql, params: [] })

const run = <A>(connection: SqliteConnection, plan: SqlPlan<A>): A => {
  let step = plan.next()
  while (step.done !== true) step = answer(connection, plan, step.value)
  return step.value
}

const answer = <A>(connection: SqliteConnection, plan: SqlPlan<A>, statement: Statement) => {
  let rows: ReadonlyArray<Record<string, SqlValue>>
  try {
    rows = connection.execute(statement)
  } catch (error) {
    if (reasonOf(error) !== null) throw toFailure(error)
    return plan.throw(new StatementFailure({ detail: detailOf(error) }))
  }
  return plan.next(rows)
}

const notCommitted = <A>(connection: SqliteConnection, error: unknown): Transaction<A> => {
  const statement = error instanceof StatementFailure ? error : null
  const failure = error === null || statement !== null ? null : toFailure(error)
  try {
    if (connection.inTransaction()) execute(connection, "ROLLBACK")
  } catch (rollbackError) {
    return { _tag: "Failed", failure: toFailure(rollbackError) }
  }
  return failure === null ? { _tag: "RolledBack", statement } : { _tag: "Failed", failure }
}

const toFailure = (error: unknown): StorageFailure => {
  if (error instanceof StorageFailure) return error
  const reason = reasonOf(error)
  if (reason === null) throw error
  return new StorageFailure({ reason, detail: detailOf(error) })
}

const guarded = <A>(use: () => A): A => {
  try {
    return use()
  } catch (error) {
    throw toFailure(error)
  }
}

/** What goes wrong before there is a connection names the file. */
const opening = <A>(filename: string, use: () => A): A => {
  try {
    return use()
  } catch (error) {
    const { detail, reason } = toFailure(error)
    const named = detail.includes(filename) ? detail : `${filename}: ${detail}`
    throw new StorageFailure({ reason, detail: named })
  }
}

const requireFile = (filename: string): void => {
  if (isThere(filename)) return
  throw new StorageFailure({ reason: "NotFound", detail: `there is no database at ${filename}` })
}

const isThere = (filename: string): boolean => {
  const stat = fs.statSync(filename, { throwIfNoEntry: false })
  if (stat === undefined || stat.isFile()) return stat !== undefined
  throw new StorageFailure({ reason: "Unsupported", detail: `${filename} is not a file` })
}

/** SQLite would open what it cannot write, and fail later. */
const requireWritable = (filename: string): void =>
  fs.accessSync(filename, fs.constants.R_OK | fs.constants.W_OK)

/** Only a new file is opened here: closing a descriptor of an existing one would drop this process's locks on it. */
const createPrivate = (filename: string): void => {
  try {
    fs.closeSync(fs.openSync(filename, "wx", 0o600))
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
  }
}

/** What is refused is left as it was: the check comes before anything of the file is changed. */
const setUp = (filename: string, check: () => SqlPlan<unknown>): SqliteConnection => {
  const database = new Database(filename, { timeout: busyTimeoutMillis })
  try {
    const connection = explaining(fromDatabase(database), filename)
    requireVersion(String(execute(connection, "SELECT sqlite_version() AS v")[0]?.["v"]))
    run(connection, check())
    setAndCheck(connection, "journal_mode", "WAL", "wal")
    setAndCheck(connection, "synchronous", "FULL", 2)
    setAndCheck(connection, "foreign_keys", "ON", 1)
    setAndCheck(connection, "wal_autocheckpoint", String(autoCheckpointPages), autoCheckpointPages)
    return connection
  } catch (error) {
    database.close()
    throw error
  }
}

const fromDatabase = (database: Database.Database): SqliteConnection => {
  const prepared = new Map<string, Database.Statement>()
  return {
    query: (query) => ask(database, query),
    execute: ({ params, sql }) => {
      let statement = prepared.get(sql)
      if (statement === undefined) {
        statement = database.prepare(sql)
        prepared.set(sql, statement)
      }
      if (statement.reader) return statement.all(...params) as ReadonlyArray<Record<string, SqlValue>>
      statement.run(...params)
      return []
    },
    inTransaction: () => database.inTransaction,
    close: () => void database.close()
  }
}

/** Prepared anew each time: nothing bounds how many different statements users have. */
const ask = (database: Database.Database, { answer, bigints, params, sql }: UserQuery): unknown => {
  const statement = database.prepare(sql)
  if (bigints) statement.safeIntegers(true)
  if (statement.reader) return statement.raw(answer === "values").all(...params)
  const done = statement.run(...params)
  return answer === "raw" ? done : []
}

/** Says of a device error what the operating system says of it. */
const explaining = (connection: SqliteConnection, filename: string): SqliteConnection => {
  const explain = <A>(use: () => A): A => {
    try {
      return use()
    } catch (error) {
      throw reasonOf(error) === "Io" ? SpaceProbe.explain(toFailure(error), filename) : error
    }
  }
  return {
    ...connection,
    execute: (statement) => explain(() => connection.execute(statement)),
    query: (query) => explain(() => connection.query(query))
  }
}

const setAndCheck = (
  connection: SqliteConnection,
  pragma: string,
  value: string,
  expected: SqlValue
): void => {
  execute(connection, `PRAGMA ${pragma} = ${value}`)
  const actual = Object.values(execute(connection, `PRAGMA ${pragma}`)[0] ?? {})[0]
  if (actual !== expected) {
    const detail = `PRAGMA ${pragma} is ${String(actual)} and could not be set to ${value}`
    throw new StorageFailure({ reason: "Unsupported", detail })
  }
}

/** Throws for a SQLite older than `versionMinimum`. */
export const requireVersion = (version: string): void => {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number)
  const [wantMajor = 0, wantMinor = 0, wantPatch = 0] = versionMinimum.split(".").map(Number)
  const difference = major - wantMajor || minor - wantMinor || patch - wantPatch
  if (difference < 0) {
    const detail = `SQLite ${version} is older than ${versionMinimum}: install a newer better-sqlite3`
    throw new StorageFailure({ reason: "Unsupported", detail })
  }
}

/** File system types, as statfs gives them, on which file locks or shared memory do not hold. */
const networkTypes: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB"],
  [0x517b, "SMB"],
  [0x01021997, "9P"],
  [0x00c36400, "Ceph"],
  [0x5346414f, "AFS"]
])

/** The name of a network file system by its statfs type; `undefined` for a local one. */
export const networkFileSystem = (type: number): string | undefined => networkTypes.get(type >>> 0)

const refuseNetwork = (directory: string): void => {
  const name = networkFileSystem(fs.statfsSync(directory).type)
  if (name !== undefined) {
    const detail = `${directory} is on a network file system (${name}), where SQLite's locks do not hold: ` +
      `keep the database on a local disk`
    throw new StorageFailure({ reason: "Unsupported", detail })
  }
}
