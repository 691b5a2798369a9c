import { describe, expect, it } from "@effect/vitest"
import * as StorageFailure from "@holdfast/persistence/StorageFailure"
import Database from "better-sqlite3"

const coded = (code: string, message = "x") => Object.assign(new Error(message), { code })

describe("StorageFailure", () => {
  it.each([
    ["SQLITE_BUSY", "Busy"],
    ["SQLITE_BUSY_SNAPSHOT", "Busy"],
    ["SQLITE_LOCKED_SHAREDCACHE", "Busy"],
    ["SQLITE_PROTOCOL", "Busy"],
    ["SQLITE_FULL", "Full"],
    ["ENOSPC", "Full"],
    ["EDQUOT", "Full"],
    ["EFBIG", "Full"],
    ["SQLITE_READONLY_DBMOVED", "ReadOnly"],
    ["SQLITE_PERM", "ReadOnly"],
    ["EACCES", "ReadOnly"],
    ["EROFS", "ReadOnly"],
    ["SQLITE_CORRUPT_INDEX", "Corrupt"],
    ["SQLITE_NOTADB", "Corrupt"],
    ["SQLITE_IOERR_FSYNC", "Io"],
    ["SQLITE_CANTOPEN", "Io"],
    ["SQLITE_NOMEM", "Io"],
    ["EIO", "Io"],
    ["EMFILE", "Io"],
    ["ENOENT", "NotFound"],
    ["EISDIR", "Unsupported"],
    ["SQLITE_CONSTRAINT_UNIQUE", null],
    ["SQLITE_CONSTRAINT_TRIGGER", null],
    ["SQLITE_ERROR", null],
    ["SQLITE_TOOBIG", null],
    ["SQLITE_MISMATCH", null]
  ])("sorts %s as %s", (code, reason) => {
    expect(StorageFailure.reasonOf(coded(code))).toBe(reason)
  })

  it("takes what cannot be bound for the statement's own, and a closed connection for closed storage", () => {
    const database = new Database(":memory:")
    const thrown = (use: () => void) => {
      try {
        use()
      } catch (error) {
        return StorageFailure.reasonOf(error)
      }
      return "nothing was thrown"
    }
    expect(thrown(() => database.prepare("SELECT ?").get())).toBe(null)
    expect(thrown(() => database.prepare("SELECT ?").get({}))).toBe(null)
    expect(thrown(() => database.prepare("SELECT ?").get(true))).toBe(null)
    expect(thrown(() => database.prepare("SELEC"))).toBe(null)
    database.close()
    expect(thrown(() => database.prepare("SELECT 1"))).toBe("Closed")
  })

  it("throws on what is a bug rather than the database's", () => {
    for (const bug of [new Error("mine"), coded("ERR_INVALID_ARG_TYPE"), "text"]) {
      expect(() => StorageFailure.reasonOf(bug)).toThrow()
    }
  })

  it("waits only for what may pass by itself", () => {
    const reasons = [
      "Busy",
      "Full",
      "ReadOnly",
      "Corrupt",
      "Io",
      "Unsupported",
      "Closed",
      "NotFound"
    ] as const
    expect(reasons.filter(StorageFailure.isTransient)).toEqual(["Busy", "Full", "Io"])
  })

  it("keeps message and code in the detail, and names the operation in the error", () => {
    const failure = new StorageFailure.StorageFailure({
      reason: "Full",
      detail: StorageFailure.detailOf(coded("SQLITE_FULL", "database or disk is full"))
    })
    const error = StorageFailure.toError(failure, "commit", "unknown")
    expect(error.message).toBe(
      "storage failed (Full) in commit: database or disk is full (SQLITE_FULL); " +
        "whether it was written is not known yet"
    )
  })
})
