import { describe, expect, it } from "@effect/vitest"
import { TaskStore } from "@holdfast/agents/TaskStore"
import { put, RecordStore } from "@holdfast/core/RecordStore"
import * as Migrations from "@holdfast/persistence/Migrations"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as StoreAdmin from "@holdfast/persistence/StoreAdmin"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import { temporaryStore } from "../support/store-processes.ts"
import { enqueue } from "../support/store-tasks.ts"

const using = <A>(filename: string, use: (database: Database.Database) => A): Effect.Effect<A> =>
  Effect.acquireUseRelease(
    Effect.sync(() => new Database(filename)),
    (database) => Effect.sync(() => use(database)),
    (database) => Effect.sync(() => database.close())
  )

const schemaOf = (filename: string) =>
  using(
    filename,
    (database) =>
      database.prepare("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").all()
  )

/** Takes away what later versions added. */
const toFirstVersion = (filename: string) =>
  using(filename, (database) =>
    database.exec(
      "DROP TABLE records; DROP TABLE record_collections; DROP TABLE agents; DROP TABLE agent_states; " +
        "DROP TABLE agent_messages; DROP TABLE agent_replies; UPDATE store SET schema_version = 1, schema_minimum = 1"
    ))

describe("migrations", () => {
  it.scopedLive("bring a store of the first version to this one, as a new one is, with what it held", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const layer = Sqlite.layer({ filename })
      yield* Effect.provide(enqueue("work", ["1"]), layer)
      const schema = yield* schemaOf(filename)
      yield* toFirstVersion(filename)
      expect(yield* schemaOf(filename)).not.toEqual(schema)
      expect(yield* StoreAdmin.migrate(filename)).toEqual({ from: 1, to: 3 })
      expect(yield* StoreAdmin.migrate(filename)).toEqual({ from: 3, to: 3 })
      expect(yield* schemaOf(filename)).toEqual(schema)
      expect(yield* StoreAdmin.check(filename)).toMatchObject({ schemaVersion: 3, tasks: 1, problems: [] })
      const revisions = Effect.flatMap(RecordStore, (store) => store.commit([put("c", "k", "1")]))
      expect(yield* Effect.provide(revisions, layer)).toEqual([1])
    }))

  it.scopedLive("are made by the layer, too; nodes that would not release agents may not go on writing", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      yield* StoreAdmin.migrate(filename)
      yield* toFirstVersion(filename)
      const queues = Effect.flatMap(TaskStore, (store) => store.queues)
      expect(yield* Effect.provide(queues, Sqlite.layer({ filename }))).toEqual([])
      const store = yield* using(
        filename,
        (database) => database.prepare("SELECT schema_version, schema_minimum FROM store").get()
      )
      expect(store).toEqual({ schema_version: Migrations.schemaVersion, schema_minimum: 3 })
    }))
})
