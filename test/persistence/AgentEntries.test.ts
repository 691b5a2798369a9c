import { describe, expect, it } from "@effect/vitest"
import * as AgentOperation from "@holdfast/agents/AgentOperation"
import { AgentStore } from "@holdfast/agents/AgentStore"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as StoreAdmin from "@holdfast/persistence/StoreAdmin"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import { temporaryStore } from "../support/store-processes.ts"

const agent = { type: "a", id: "1" }

const commitOf = (base: number, changes: ReadonlyArray<AgentOperation.EntryChange>) =>
  AgentOperation.commitMessage({ ...agent, activation: 1, base, changes, tells: [], nowMillis: 0 })

const put = (key: string, value = "1"): AgentOperation.EntryChange => ({ collection: "c", key, value })

const remove = (key: string): AgentOperation.EntryChange => ({ collection: "c", key, value: null })

const keys = (count: number) => Array.from({ length: count }, (_, index) => String(index).padStart(6, "0"))

const activate = Effect.flatMap(
  CommitLog,
  (log) => log.commit([AgentOperation.activateAgent({ ...agent, stateVersionMax: 1, nowMillis: 0 })])
)

const count = Effect.flatMap(AgentStore, (store) => store.entryCount(agent, "c"))

describe("entries of agents on SQLite", () => {
  it.scopedLive("are written and counted when one message changes thousands, and when many messages share a batch", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      yield* Effect.gen(function*() {
        const log = yield* CommitLog
        yield* activate
        yield* log.commit([commitOf(0, keys(5_000).map((key) => put(key)))])
        expect(yield* count).toBe(5_000)
        const units = keys(300).flatMap((key) => [[remove(key)], [put(key, "2"), put(`${key}x`)]])
        yield* Effect.forEach(units, (changes, index) => log.commit([commitOf(1 + index, changes)]), {
          concurrency: "unbounded"
        })
        expect(yield* count).toBe(5_300)
        yield* log.commit([commitOf(601, keys(5_000).map(remove))])
        expect(yield* count).toBe(300)
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
      expect((yield* StoreAdmin.check(filename)).problems).toEqual([])
    }))

  it.scopedLive("of a message that is refused leave no trace, nor do they touch those of its batch that are not", () =>
    Effect.gen(function*() {
      yield* activate
      const log = yield* CommitLog
      const [written, refused] = yield* Effect.all(
        [
          Effect.either(log.commit([commitOf(0, [put("a")])])),
          Effect.either(log.commit([commitOf(7, [remove("a"), put("b")])]))
        ],
        { concurrency: "unbounded" }
      )
      expect([written._tag, refused._tag]).toEqual(["Right", "Left"])
      const store = yield* AgentStore
      expect(yield* store.entries(agent, "c", { limit: 9 })).toEqual([{ key: "a", value: "1" }])
      expect(yield* count).toBe(1)
    }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))

  it.scopedLive("that are miscounted are a problem that a check names", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      yield* Effect.gen(function*() {
        const log = yield* CommitLog
        yield* activate
        yield* log.commit([commitOf(0, [put("a"), put("b")])])
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
      yield* Effect.sync(() => {
        const database = new Database(filename)
        database.exec("DELETE FROM agent_entries WHERE key = 'b'")
        database.close()
      })
      expect((yield* StoreAdmin.check(filename)).problems).toEqual([
        "collection c of agent a/1 counts 2 entries and has 1"
      ])
    }))
})
