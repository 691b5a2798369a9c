/**
 * Migrations bring a store's schema to the version this code speaks.
 */
import * as createStore from "./migrations/0001_create_store.ts"
import * as createRecords from "./migrations/0002_create_records.ts"
import * as createAgents from "./migrations/0003_create_agents.ts"
import * as createAgentEntries from "./migrations/0004_create_agent_entries.ts"
import type { SqlPlan } from "./SqlPlan.ts"
import { query } from "./SqlPlan.ts"
import { StorageFailure } from "./StorageFailure.ts"
import * as StoreHome from "./StoreHome.ts"

/** The schema version this code writes. */
export const schemaVersion = 4

/**
 * The oldest code that may write a store of this version; older nodes are fenced. They would release agents and leave
 * messages claimed that nobody has any more, which this code then does not find.
 */
export const schemaMinimum = 4

const migrations: ReadonlyArray<ReadonlyArray<string>> = [
  createStore.statements,
  createRecords.statements,
  createAgents.statements,
  createAgentEntries.statements
]

/** What a migration found and did. */
export interface Migrated {
  readonly from: number
  readonly to: number
}

/** Brings the schema up to date inside one transaction; refuses a store that needs newer code, or was copied. */
export function* migrate(instance: string, nowMillis: number, home: StoreHome.StoreHome): SqlPlan<Migrated> {
  const from = yield* currentVersion()
  if (from === 0) {
    for (const statement of migrations.flat()) yield* query(statement)
    yield* query(
      "INSERT INTO store (id, instance, schema_version, schema_minimum, created_at, home_path, home_inode) " +
        "VALUES (1, ?, ?, ?, ?, ?, ?)",
      [instance, schemaVersion, schemaMinimum, nowMillis, home.path, home.inode]
    )
    return { from, to: schemaVersion }
  }
  yield* refuseNewer()
  yield* StoreHome.check(home)
  for (const statement of migrations.slice(from).flat()) yield* query(statement)
  if (from < schemaVersion) {
    yield* query("UPDATE store SET schema_version = ?, schema_minimum = ?", [schemaVersion, schemaMinimum])
  }
  return { from, to: Math.max(from, schemaVersion) }
}

/** The schema version of the store; 0 for an empty file. Fails on a database that is something else. */
export function* currentVersion(): SqlPlan<number> {
  const tables = yield* query<{ readonly name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table'"
  )
  if (tables.length === 0) return 0
  if (!tables.some(({ name }) => name === "store")) {
    const detail = "the file is a SQLite database of another program: name another file with --db"
    throw new StorageFailure({ reason: "Unsupported", detail })
  }
  const rows = yield* query<{ readonly schema_version: number }>("SELECT schema_version FROM store")
  return rows[0]?.schema_version ?? 0
}

/** Fails where no store was made yet, and where it demands newer code than this. */
export function* requireStore(filename: string): SqlPlan<void> {
  if ((yield* currentVersion()) > 0) return yield* refuseNewer()
  const detail = `${filename} holds no store yet: "holdfast db migrate" makes one`
  throw new StorageFailure({ reason: "NotFound", detail })
}

/** Fails when the store demands newer code than this. */
export function* refuseNewer(): SqlPlan<void> {
  const rows = yield* query<{ readonly schema_minimum: number }>("SELECT schema_minimum FROM store")
  const minimum = rows[0]?.schema_minimum ?? 0
  if (minimum > schemaVersion) {
    const detail =
      `the store needs schema version ${minimum} and this Holdfast speaks ${schemaVersion}: update it`
    throw new StorageFailure({ reason: "Unsupported", detail })
  }
}
