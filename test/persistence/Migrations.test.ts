import { describe, expect, it } from "@effect/vitest"
import { AgentStore } from "@holdfast/agents/AgentStore"
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
        "DROP TABLE agent_messages; DROP TABLE agent_replies; DROP TABLE agent_entries; DROP TABLE agent_collections; " +
        "UPDATE store SET schema_version = 1, schema_minimum = 1"
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
      expect(yield* StoreAdmin.migrate(filename)).toEqual({ from: 1, to: 4 })
      expect(yield* StoreAdmin.migrate(filename)).toEqual({ from: 4, to: 4 })
      expect(yield* schemaOf(filename)).toEqual(schema)
      expect(yield* StoreAdmin.check(filename)).toMatchObject({ schemaVersion: 4, tasks: 1, problems: [] })
      const revisions = Effect.flatMap(RecordStore, (store) => store.commit([put("c", "k", "1")]))
      expect(yield* Effect.provide(revisions, layer)).toEqual([1])
    }))

  it.scopedLive("let messages be claimed again that nodes of the third version had claimed", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      yield* StoreAdmin.migrate(filename)
      yield* using(filename, (database) =>
        database.exec(
          "INSERT INTO agents (type, id, status, version, activation, created_at, updated_at) " +
            "VALUES ('a', '1', 'passive', 1, 2, 0, 0); " +
            "INSERT INTO agent_messages (type, id, message, payload, attempt, activation, not_before, enqueued_at) " +
            "VALUES ('a', '1', 'M', '1', 3, 2, 0, 0); DROP TABLE agent_entries; DROP TABLE agent_collections; " +
            "DROP INDEX agent_messages_open; DROP INDEX agent_messages_later; " +
            "UPDATE store SET schema_version = 3, schema_minimum = 3"
        ))
      const found = Effect.flatMap(AgentStore, (store) =>
        Effect.all([
          store.pending({ types: ["a"], nowMillis: 0, limit: 9 }),
          store.inbox({ type: "a", id: "1" }, 0, 9)
        ]))
      expect(yield* Effect.provide(found, Sqlite.layer({ filename }))).toMatchObject([
        [{ type: "a", id: "1" }],
        [{ attempt: 3, activation: 0 }]
      ])
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
      expect(store).toEqual({ schema_version: Migrations.schemaVersion, schema_minimum: 4 })
    }))
})
