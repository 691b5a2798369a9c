import { SqlClient, TransactionConnection } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import { RecordStore } from "@holdfast/core/RecordStore"
import * as SqliteConnection from "@holdfast/persistence/SqliteConnection"
import * as UserConnection from "@holdfast/persistence/UserConnection"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Ledger from "./Ledger.ts"

/** A store and a node of it. */
const opened = Effect.flatMap(
  Ledger.make,
  (store) => Effect.map(store.node(), (node) => ({ ...store, on: Effect.provide(node) }))
)

/** A user that has inserted a name and goes on when it is told to. */
const holder = (name: string) =>
  Effect.gen(function*() {
    const [holds, release] = [yield* Deferred.make<void>(), yield* Effect.makeLatch(false)]
    const user = Ledger.insert(name).pipe(
      Effect.zipRight(Deferred.succeed(holds, undefined)),
      Effect.zipRight(release.await)
    )
    return { user, holds: Deferred.await(holds), release: release.open }
  })

const turn = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))

const poison =
  "CREATE TRIGGER poison BEFORE INSERT ON tasks WHEN NEW.id = 'poison' BEGIN SELECT RAISE(ABORT, 'poison'); END"

describe("user SQL", () => {
  it.scopedLive("is written with the operations it leads to; it sees what it wrote, and nobody else does before", () =>
    Effect.gen(function*() {
      const { on, stored } = yield* opened
      const user = Effect.zipRight(Ledger.insert("one"), Effect.all([Ledger.names, stored]))
      const { value } = yield* on(Ledger.within(user, "1"))
      expect(value).toEqual([["one"], { names: [], tasks: [] }])
      expect(yield* stored).toEqual({ names: ["one"], tasks: ["1"] })
      expect(yield* on(Ledger.names)).toEqual(["one"])
    }))

  it.scopedLive("leaves no trace when it fails, dies, interrupts itself or takes too long, and the file free for others", () =>
    Effect.gen(function*() {
      const { execute, on, stored } = yield* opened
      const within = (end: Effect.Effect<void, string>) =>
        Effect.flatMap(
          CommitLog,
          (log) =>
            log.within(Effect.zipRight(Ledger.insert("one"), end), () => [Ledger.enqueue("1")], {
              deadline: "20 millis"
            })
        )
      const ends = [Effect.fail("no"), Effect.die("bug"), Effect.interrupt, Effect.never]
      for (const end of ends) {
        expect(Exit.isFailure(yield* on(Effect.exit(within(end))))).toBe(true)
        expect(yield* stored).toEqual({ names: [], tasks: [] })
        yield* execute("DELETE FROM ledger")
      }
      yield* on(Ledger.within(Ledger.insert("two"), "2"))
      expect(yield* stored).toEqual({ names: ["two"], tasks: ["2"] })
    }))

  it.scopedLive("leaves no trace when its caller is interrupted, while it runs or while it waits", () =>
    Effect.gen(function*() {
      const { on, stored } = yield* opened
      const { holds, user } = yield* holder("running")
      const running = yield* Effect.fork(on(Ledger.within(user, "1")))
      yield* holds
      const waiting = yield* Effect.fork(on(Ledger.within(Ledger.insert("waiting"), "2")))
      yield* turn
      yield* Fiber.interrupt(waiting)
      yield* Fiber.interrupt(running)
      yield* on(Ledger.within(Ledger.insert("next"), "3"))
      expect(yield* stored).toEqual({ names: ["next"], tasks: ["3"] })
    }))

  it.scopedLive("is rolled back with an operation that is refused", () =>
    Effect.gen(function*() {
      const { on, stored } = yield* opened
      const settings = { paused: false, sealed: true, sizeMax: 1, errorThreshold: null, label: null }
      const full = TaskOperation.putQueue({ queue: "q", base: 0, settings })
      yield* on(Effect.flatMap(CommitLog, (log) => log.commit([full, Ledger.enqueue("1")])))
      const error = yield* Effect.flip(on(Ledger.within(Ledger.insert("one"), "2")))
      expect(error).toMatchObject({ _tag: "QueueFull", queue: "q" })
      expect(yield* stored).toEqual({ names: [], tasks: ["1"] })
    }))

  it.scopedLive("is rolled back with an operation that is rejected, and what waits behind it in its lane fails", () =>
    Effect.gen(function*() {
      const { execute, on, stored } = yield* opened
      yield* execute(poison)
      const { holds, release, user } = yield* holder("one")
      const poisoned = yield* Effect.fork(on(Effect.flip(Ledger.within(user, "poison"))))
      yield* holds
      const behind = yield* Effect.fork(on(Effect.flip(Ledger.commit("2"))))
      const alsoBehind = yield* Effect.fork(on(Effect.flip(Ledger.within(Ledger.insert("two"), "3"))))
      const beside = yield* Effect.fork(on(Ledger.within(Ledger.insert("three"), "4", "other")))
      yield* turn
      yield* release
      expect(yield* Fiber.join(poisoned)).toMatchObject({
        _tag: "OperationRejected",
        operation: "EnqueueTasks"
      })
      expect(yield* Fiber.join(behind)).toMatchObject({ _tag: "LaneFailed" })
      expect(yield* Fiber.join(alsoBehind)).toMatchObject({ _tag: "LaneFailed" })
      yield* Fiber.join(beside)
      expect(yield* stored).toEqual({ names: ["three"], tasks: ["4"] })
    }))

  it.scopedLive("keeps its turn: what was submitted before is written before, what comes meanwhile after", () =>
    Effect.gen(function*() {
      const { on, stored } = yield* opened
      const { holds, release, user } = yield* holder("two")
      const before = yield* Effect.fork(on(Ledger.commit("1")))
      yield* Effect.yieldNow()
      const within = yield* Effect.fork(on(Ledger.within(user, "2")))
      yield* holds
      expect((yield* stored).tasks).toEqual(["1"])
      const behind = yield* Effect.fork(on(Ledger.commit("3")))
      yield* turn
      expect((yield* stored).tasks).toEqual(["1"])
      yield* release
      yield* Effect.all([Fiber.join(before), Fiber.join(within), Fiber.join(behind)])
      expect((yield* stored).tasks).toEqual(["1", "2", "3"])
    }))

  it.scopedLive("makes the commits of another node wait until it is over, and no longer", () =>
    Effect.gen(function*() {
      const { node, on, stored } = yield* opened
      const other = Effect.provide(yield* node())
      const { holds, release, user } = yield* holder("one")
      const within = yield* Effect.fork(on(Ledger.within(user, "1")))
      yield* holds
      const waiting = yield* Effect.fork(other(Ledger.commit("2")))
      yield* Effect.repeatN(turn, 5)
      expect([waiting.unsafePoll(), yield* stored]).toEqual([null, { names: [], tasks: [] }])
      yield* release
      yield* Effect.all([Fiber.join(within), Fiber.join(waiting)])
      expect(yield* stored).toEqual({ names: ["one"], tasks: ["1", "2"] })
    }))

  it.scopedLive("may not end or outlive its transaction: such statements fail at once, and it may go on", () =>
    Effect.gen(function*() {
      const { on, stored } = yield* opened
      const words = [
        "BEGIN",
        "COMMIT",
        "END",
        "ROLLBACK",
        "SAVEPOINT",
        "RELEASE",
        "PRAGMA",
        "ATTACH",
        "DETACH",
        "VACUUM"
      ]
      const user = Effect.flatMap(SqlClient, (sql) =>
        Effect.zipLeft(
          Effect.forEach([...words, "-- a comment\n ;/* another */ commit"], (word) =>
            Effect.flip(sql.unsafe(`${word} x`))),
          Ledger.insert("one")
        ))
      const { value } = yield* on(Ledger.within(user, "1"))
      expect(value.map(causeOf)).toEqual([...words, "COMMIT"].map((operation) => refused(operation)))
      expect(yield* stored).toEqual({ names: ["one"], tasks: ["1"] })
    }))

  it.scopedLive("may not nest a transaction of the client, or write records", () =>
    Effect.gen(function*() {
      const { on, stored } = yield* opened
      const user = Effect.gen(function*() {
        const sql = yield* SqlClient
        const store = yield* RecordStore
        const nested = yield* Effect.flip(sql.withTransaction(Ledger.insert("nested")))
        const record = { _tag: "Put", collection: "c", key: "k", value: "1" } as const
        return { nested: causeOf(nested), record: yield* Effect.flip(store.commit([record])) }
      })
      const { value } = yield* on(Ledger.within(user, "1"))
      expect(value.nested).toEqual(refused("withTransaction"))
      expect(value.record).toMatchObject({ _tag: "StorageError", reason: "Unsupported", outcome: "none" })
      expect(yield* stored).toEqual({ names: [], tasks: ["1"] })
    }))

  it.scopedLive("that lost its transaction to a conflict clause commits nothing, whatever it makes of that", () =>
    Effect.gen(function*() {
      const { on, stored } = yield* opened
      const user = Effect.gen(function*() {
        const sql = yield* SqlClient
        yield* Ledger.insert("one")
        yield* Effect.flip(sql`INSERT OR ROLLBACK INTO ledger (name) VALUES ('one')`)
        yield* Effect.flip(Ledger.insert("two"))
      })
      expect(yield* Effect.flip(on(Ledger.within(user, "1")))).toMatchObject(refused("ROLLBACK"))
      expect(yield* stored).toEqual({ names: [], tasks: [] })
    }))

  it.scopedLive("goes on after a statement of its own that failed", () =>
    Effect.gen(function*() {
      const { on, stored } = yield* opened
      const twice = Effect.zipRight(Ledger.insert("one"), Effect.flip(Ledger.insert("one")))
      const { value } = yield* on(Ledger.within(Effect.zipLeft(twice, Ledger.insert("two")), "1"))
      expect(value.message).toContain("UNIQUE constraint failed")
      expect(yield* stored).toEqual({ names: ["one", "two"], tasks: ["1"] })
    }))

  it.scopedLive("that breaks a constraint which waits for the COMMIT is rejected, and the log goes on", () =>
    Effect.gen(function*() {
      const { execute, on, stored } = yield* opened
      yield* execute("CREATE TABLE notes (name TEXT REFERENCES ledger DEFERRABLE INITIALLY DEFERRED)")
      const orphan = Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO notes VALUES ('nobody')`)
      const error = yield* Effect.flip(on(Ledger.within(orphan, "1")))
      expect(error).toMatchObject({ _tag: "OperationRejected", operation: "within" })
      expect(error.message).toContain("FOREIGN KEY constraint failed")
      yield* on(Ledger.within(Effect.zipRight(orphan, Ledger.insert("nobody")), "2"))
      expect(yield* stored).toEqual({ names: ["nobody"], tasks: ["2"] })
    }))

  it.scopedLive("of a fiber that outlives the transaction reads like any other, and writes nothing", () =>
    Effect.gen(function*() {
      const { on, stored } = yield* opened
      const over = yield* Effect.makeLatch(false)
      const late = Effect.zipRight(over.await, Effect.all([Ledger.names, Effect.flip(Ledger.insert("late"))]))
      const { value } = yield* on(
        Ledger.within(Effect.zipLeft(Effect.forkDaemon(late), Ledger.insert("one")), "1")
      )
      yield* over.open
      const [read, error] = yield* Fiber.join(value)
      expect(read).toEqual(["one"])
      expect(error.message).toContain("CommitLog.within")
      expect(yield* stored).toEqual({ names: ["one"], tasks: ["1"] })
    }))

  it.scopedLive("is not sent to another client whose transaction surrounds it", () =>
    Effect.gen(function*() {
      const { on, stored } = yield* opened
      const other = { execute: () => Effect.die("sent to the other") }
      yield* on(Ledger.within(Ledger.insert("one"), "1")).pipe(
        Effect.provideService(TransactionConnection, [other as never, 0])
      )
      expect(yield* stored).toEqual({ names: ["one"], tasks: ["1"] })
    }))
})

describe("the connection of a user transaction", () => {
  it.scopedLive("takes no statement when that has ended, whoever still has it", () =>
    Effect.gen(function*() {
      const { filename } = yield* opened
      const sqlite = SqliteConnection.open(filename)
      const open = UserConnection.inTransaction(sqlite)
      sqlite.execute({ sql: "BEGIN", params: [] })
      expect(yield* open.connection.execute("SELECT 1 AS n", [], undefined)).toEqual([{ n: 1 }])
      open.isOpen = false
      const error = yield* Effect.flip(open.connection.execute("SELECT 1", [], undefined))
      expect(error.message).toContain("has ended")
      sqlite.close()
    }))
})

describe("the SQL client outside a user transaction", () => {
  it.scopedLive("reads in every shape, and says where to write when it is told to", () =>
    Effect.gen(function*() {
      const { on, stored } = yield* opened
      yield* on(Ledger.within(Ledger.insert("one"), "1"))
      const sql = yield* on(SqlClient)
      const twice = sql`SELECT name, name FROM ledger`
      expect(yield* twice).toEqual([{ name: "one" }])
      expect(yield* twice.values).toEqual([["one", "one"]])
      expect(Array.from(yield* sql`SELECT x'00ff' AS bytes`)).toEqual([{ bytes: Buffer.from([0, 255]) }])
      const refusals = yield* Effect.all([
        Effect.flip(on(Ledger.insert("two"))),
        Effect.flip(sql.unsafe("BEGIN")),
        Effect.flip(sql.unsafe("PRAGMA query_only = OFF")),
        Effect.flip(sql.withTransaction(twice))
      ])
      for (const { message } of refusals) expect(message).toContain("CommitLog.within")
      expect(yield* stored).toEqual({ names: ["one"], tasks: ["1"] })
    }))
})

const causeOf = ({ cause }: SqlError) => cause

const refused = (operation: string) => expect.objectContaining({ _tag: "RefusedInTransaction", operation })
