import { describe, expect, it } from "@effect/vitest"
import * as FileLock from "@holdfast/persistence/FileLock"
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import { runFixture, startFixture, stopped, temporaryDirectory } from "../support/store-processes.ts"

const lockFile = Effect.map(temporaryDirectory, (directory) => Path.join(directory, "lock"))

/** A lock held by another process. */
const heldElsewhere = Effect.gen(function*() {
  const file = yield* lockFile
  const holder = yield* startFixture("lock-holder.ts", "hold", file)
  expect(yield* holder.line).toBe("held")
  return { file, holder }
})

describe("FileLock", () => {
  it.scopedLive("is refused while its holder lives, and free the moment it was killed", () =>
    Effect.gen(function*() {
      const { file, holder } = yield* heldElsewhere
      expect(FileLock.proveFree(file)).toBeNull()
      expect(FileLock.tryAcquire(file)).toBeNull()
      yield* holder.signal("SIGKILL")
      expect(yield* holder.exited).toBe("SIGKILL")
      const proof = FileLock.proveFree(file)
      expect(proof).not.toBeNull()
      expect(FileSystem.readdirSync(Path.dirname(file))).toEqual(["lock"])
      proof?.release()
    }))

  it.scopedLive("is refused while its holder is stopped", () =>
    Effect.gen(function*() {
      const { file, holder } = yield* heldElsewhere
      yield* holder.signal("SIGSTOP")
      yield* stopped(holder.pid)
      expect(FileLock.proveFree(file)).toBeNull()
    }))

  it.scoped("is refused to a second holder in the same process, however often it asks", () =>
    Effect.gen(function*() {
      const file = yield* lockFile
      const lock = FileLock.tryAcquire(file)
      expect(lock).not.toBeNull()
      for (let look = 0; look < 3; look++) {
        expect(FileLock.proveFree(file)).toBeNull()
        expect(FileLock.tryAcquire(file)).toBeNull()
      }
      lock?.release()
    }))

  it.scoped("removes its file when it is released, and leaves it when it is given back", () =>
    Effect.gen(function*() {
      const file = yield* lockFile
      FileLock.tryAcquire(file)?.giveBack()
      expect(FileSystem.statSync(file).mode & 0o777).toBe(0o600)
      FileLock.proveFree(file)?.release()
      expect(FileSystem.readdirSync(Path.dirname(file))).toEqual([])
    }))

  it.scoped("is free where its file is gone", () =>
    Effect.gen(function*() {
      const proof = FileLock.proveFree(yield* lockFile)
      expect(proof).not.toBeNull()
      proof?.release()
    }))

  it.scoped("fails typed where its file cannot be made", () =>
    Effect.gen(function*() {
      const file = yield* lockFile
      expect(() => FileLock.tryAcquire(Path.join(file, "lock"))).toThrowError(
        expect.objectContaining({ _tag: "StorageFailure", reason: "NotFound" })
      )
    }))

  it.scopedLive("is never lost to those who prove files free while they are being made", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const [owner, ...sweepers] = yield* Effect.all([
        runFixture("lock-holder.ts", "own", directory, "1000"),
        runFixture("lock-holder.ts", "sweep", directory),
        runFixture("lock-holder.ts", "sweep", directory)
      ], { concurrency: "unbounded" })
      expect(JSON.parse(owner)).toMatchObject({ removed: 0, held: expect.any(Number) })
      expect(sweepers.map((sweeper) => Object.keys(JSON.parse(sweeper)))).toEqual([["swept"], ["swept"]])
      expect(FileSystem.readdirSync(directory)).toEqual(["done"])
    }))
})
