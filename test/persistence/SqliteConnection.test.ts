import { describe, expect, it } from "@effect/vitest"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import type { SqliteConnection } from "@holdfast/persistence/SqliteConnection"
import * as Connection from "@holdfast/persistence/SqliteConnection"
import * as SqliteReader from "@holdfast/persistence/SqliteReader"
import { query } from "@holdfast/persistence/SqlPlan"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import { temporaryDirectory, temporaryStore } from "../support/store-processes.ts"

const pragma = (connection: SqliteConnection, name: string) =>
  Object.values(connection.execute({ sql: `PRAGMA ${name}`, params: [] })[0] ?? {})[0]

const acquire = (filename: string, open: (filename: string) => SqliteConnection) =>
  Effect.acquireRelease(
    Effect.sync(() => open(filename)),
    (connection) => Effect.sync(() => connection.close())
  )

const openLayer = (filename: string) => Effect.scoped(Layer.build(Sqlite.layer({ filename })))

const refusal = (reason: string, detail: string = "") =>
  expect.objectContaining({ _tag: "StorageFailure", reason, detail: expect.stringContaining(detail) })

const modes = (directory: string) =>
  FileSystem.readdirSync(directory).map((name) =>
    FileSystem.statSync(Path.join(directory, name)).mode & 0o777
  )

describe("a connection", () => {
  it.scopedLive("sets and keeps what durability asks for, on a new file and on an old one", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      for (const open of [Connection.open, Connection.open, Connection.openExisting]) {
        const connection = yield* acquire(filename, open)
        expect({
          journal: pragma(connection, "journal_mode"),
          synchronous: pragma(connection, "synchronous"),
          foreignKeys: pragma(connection, "foreign_keys"),
          timeout: pragma(connection, "busy_timeout")
        }).toEqual({ journal: "wal", synchronous: 2, foreignKeys: 1, timeout: Connection.busyTimeoutMillis })
        yield* openLayer(filename)
      }
    }))

  it.scopedLive("makes files that only their owner can read", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      yield* Layer.build(Sqlite.layer({ filename }))
      const found = modes(Path.dirname(filename))
      expect(found).toEqual(found.map(() => 0o600))
      expect(found.length).toBe(4)
    }))

  it.scopedLive("that reads cannot write", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      yield* acquire(filename, Connection.open)
      const reader = yield* acquire(filename, Connection.openReadOnly)
      const plan = () => query("CREATE TABLE t (x)")
      expect(() => Connection.read(reader, plan)).toThrowError(refusal("ReadOnly"))
    }))
})

describe("a file that is no store", () => {
  it.scopedLive("of another program is refused and left as it was", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const database = new Database(filename)
      database.exec("CREATE TABLE notes (text)")
      database.close()
      const before = FileSystem.readFileSync(filename)
      const error = yield* Effect.flip(openLayer(filename))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Unsupported", outcome: "none" })
      expect(error.message).toContain("another program")
      expect(FileSystem.readFileSync(filename)).toEqual(before)
      expect(FileSystem.readdirSync(Path.dirname(filename))).toEqual(["store.db"])
    }))

  it.scopedLive("of text is refused as damaged, by name", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      FileSystem.writeFileSync(filename, "not a database\n".repeat(100))
      const error = yield* Effect.flip(openLayer(filename))
      expect(error).toMatchObject({ reason: "Corrupt" })
      expect(error.message).toContain(filename)
      expect(yield* Effect.flip(Effect.scoped(SqliteReader.open(filename)))).toMatchObject({
        reason: "Corrupt"
      })
    }))

  it.scopedLive("but a directory is refused at once", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const error = yield* Effect.flip(openLayer(directory))
      expect(error).toMatchObject({ reason: "Unsupported" })
      expect(error.message).toContain("is not a file")
    }))

  it.scopedLive("or is not there is not made by those who expect one", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const missing = refusal("NotFound", `there is no database at ${filename}`)
      expect(() => Connection.openExisting(filename)).toThrowError(missing)
      expect(() => Connection.openReadOnly(filename)).toThrowError(missing)
      expect(FileSystem.existsSync(filename)).toBe(false)
      const error = yield* Effect.flip(openLayer(Path.join(filename, "store.db")))
      expect(error).toMatchObject({ reason: "NotFound" })
    }))
})

describe("what is refused", () => {
  it.prop(
    "are exactly the SQLite versions before the minimum",
    [FastCheck.tuple(FastCheck.constantFrom(2, 3, 3, 3, 4), FastCheck.nat(60), FastCheck.nat(9))],
    ([[major, minor, patch]]) => {
      const number = (a: number, b: number, c: number) => a * 1e6 + b * 1e3 + c
      const older = number(major, minor, patch) < number(3, 51, 3)
      const check = () => Connection.requireVersion(`${major}.${minor}.${patch}`)
      if (older) expect(check).toThrowError(refusal("Unsupported"))
      else expect(check).not.toThrow()
    }
  )

  it("are network file systems, however statfs signs their type", () => {
    const local = { ext4: 0xef53, tmpfs: 0x01021994, overlay: 0x794c7630, btrfs: 0x9123683e, xfs: 0x58465342 }
    for (const type of Object.values(local)) {
      expect(Connection.networkFileSystem(type)).toBeUndefined()
      expect(Connection.networkFileSystem(type | 0)).toBeUndefined()
    }
    const remote = { NFS: 0x6969, CIFS: 0xff534d42, SMB: 0xfe534d42, "9P": 0x01021997, Ceph: 0x00c36400 }
    for (const [name, type] of Object.entries(remote)) {
      expect(Connection.networkFileSystem(type)).toBe(name)
      expect(Connection.networkFileSystem(type | 0)).toBe(name)
    }
  })
})
