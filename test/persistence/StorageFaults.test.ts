import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as StoreAdmin from "@holdfast/persistence/StoreAdmin"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import { joinNode, type RemoteError, startNode, temporaryStore } from "../support/store-processes.ts"
import { claim, enqueue } from "../support/store-tasks.ts"

const queue = "work"

const allTasks = Effect.flatMap(TaskStore, (store) => store.tasks({ limit: 10_000 }))

/** Opens a store, does something with it, and closes it. */
const within = <A, E>(filename: string, use: Effect.Effect<A, E, CommitLog | TaskStore>) =>
  Effect.provide(use, Sqlite.layer({ filename }))

/** What a node that may write only what everybody may write is told; it would try for a minute. */
const refusedTo = (filename: string) =>
  Effect.scoped(Effect.gen(function*() {
    const node = yield* startNode({ filename, unprivileged: true, deadlineMillis: 60_000 })
    return (yield* Effect.flip(node.joined)).error
  }))

/** A store with one task, in a directory that everybody may enter. */
const storeOf = (task: string) =>
  Effect.gen(function*() {
    const filename = yield* temporaryStore
    yield* within(filename, enqueue(queue, [task]))
    return { filename, directory: Path.dirname(filename) }
  })

const chmod = (modes: { readonly file: number; readonly directory: number }, filename: string) => {
  FileSystem.chmodSync(filename, modes.file)
  FileSystem.chmodSync(Path.dirname(filename), modes.directory)
}

describe("a store that cannot be written", () => {
  const cases = {
    "its file": { file: 0o444, directory: 0o777 },
    "its directory": { file: 0o666, directory: 0o555 }
  }
  for (const [what, modes] of Object.entries(cases)) {
    it.scopedLive(`because ${what} is read-only, at once and by name, and works again when it can be`, () =>
      Effect.gen(function*() {
        const { filename } = yield* storeOf("one")
        chmod(modes, filename)
        const error = yield* refusedTo(filename)
        expect(error).toMatchObject({ _tag: "StorageError", reason: "ReadOnly", outcome: "none" })
        expect(error.message).toContain(filename)
        chmod({ file: 0o600, directory: 0o700 }, filename)
        expect(yield* within(filename, claim(queue, 1))).toMatchObject([{ id: "one" }])
      }))
  }

  it.scopedLive("because it cannot be made is read-only", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      FileSystem.chmodSync(Path.dirname(filename), 0o555)
      expect(yield* refusedTo(filename)).toMatchObject({ _tag: "StorageError", reason: "ReadOnly" })
    }))
})

describe("a full disk", () => {
  it.scopedLive("is told as what it is, and nothing that was acknowledged is missing when there is space again", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const limited = (
        command: ReadonlyArray<string>
      ) => ["bash", "-c", "ulimit -f 2000; exec \"$@\"", "-", ...command]
      const node = yield* startNode({ filename, deadlineMillis: 300 }, limited)
      yield* node.joined
      const acknowledged: Array<string> = []
      const payload = JSON.stringify("x".repeat(100_000))
      const fill = (id: string): Effect.Effect<RemoteError["error"]> =>
        Effect.matchEffect(node.ask("enqueue", { queue, ids: [id], payload }), {
          onFailure: ({ error }) => Effect.succeed(error),
          onSuccess: () => {
            acknowledged.push(id)
            return fill(`task-${acknowledged.length}`)
          }
        })
      const error = yield* fill("task-0")
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Full", outcome: "none" })
      expect(error.message).toContain("EFBIG")
      expect(acknowledged.length).toBeGreaterThan(5)
      yield* node.signal("SIGKILL")
      yield* node.exited
      yield* within(
        filename,
        Effect.gen(function*() {
          expect((yield* allTasks).map((task) => task.id)).toEqual(acknowledged)
          expect(yield* enqueue(queue, ["last"], { payload })).toBe(1)
        })
      )
      expect(FileSystem.readdirSync(Path.dirname(filename))).toEqual(["store.db"])
    }))

  it.scopedLive("is told to those who would open a store on it", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const limited = (
        command: ReadonlyArray<string>
      ) => ["bash", "-c", "ulimit -f 20; exec \"$@\"", "-", ...command]
      const node = yield* startNode({ filename, deadlineMillis: 300 }, limited)
      expect((yield* Effect.flip(node.joined)).error).toMatchObject({ reason: "Full", outcome: "none" })
    }))
})

describe("a file that is not the one that was opened", () => {
  it.scopedLive("ends the membership: nothing more is acknowledged until it is back", () =>
    Effect.gen(function*() {
      const { filename } = yield* storeOf("one")
      const node = yield* Layer.build(Sqlite.layer({ filename }))
      const { fenced } = yield* Effect.provide(CommitLog, node)
      const ended = yield* Effect.fork(fenced)
      yield* Effect.yieldNow()
      FileSystem.renameSync(filename, `${filename}.away`)
      const error = yield* Effect.flip(Effect.provide(enqueue(queue, ["two"]), node))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "NotFound", outcome: "none" })
      expect(error.message).toContain(`${filename} was removed`)
      expect(yield* Fiber.join(ended)).toMatchObject({ _tag: "NodeFenced" })
      FileSystem.renameSync(`${filename}.away`, filename)
      expect(yield* Effect.provide(claim(queue, 10), node)).toMatchObject([{ id: "one" }])
    }))

  it.scopedLive("is not written where another store took its place", () =>
    Effect.gen(function*() {
      const [{ filename }, other] = [yield* storeOf("one"), yield* storeOf("other")]
      const node = yield* Layer.build(Sqlite.layer({ filename }))
      FileSystem.renameSync(other.filename, filename)
      const error = yield* Effect.flip(Effect.provide(enqueue(queue, ["two"]), node))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Unsupported", outcome: "none" })
      expect(error.message).toContain(`${filename} was replaced`)
    }))
})

describe("a store that moved", () => {
  it.scopedLive("is used on at its new name", () =>
    Effect.gen(function*() {
      const { directory, filename } = yield* storeOf("one")
      const moved = Path.join(directory, "moved.db")
      FileSystem.renameSync(filename, moved)
      expect(yield* within(moved, allTasks)).toMatchObject([{ id: "one" }])
      expect(yield* within(moved, allTasks)).toMatchObject([{ id: "one" }])
    }))

  it.scopedLive("is used on where another file took its name, as a restored backup does", () =>
    Effect.gen(function*() {
      const { filename } = yield* storeOf("one")
      FileSystem.copyFileSync(filename, `${filename}.backup`)
      FileSystem.renameSync(`${filename}.backup`, filename)
      expect(yield* within(filename, allTasks)).toMatchObject([{ id: "one" }])
    }))

  it.scopedLive("but whose original is still there is held until it is adopted", () =>
    Effect.gen(function*() {
      const { directory, filename } = yield* storeOf("one")
      const copy = Path.join(directory, "copy.db")
      FileSystem.copyFileSync(filename, copy)
      const error = yield* Effect.flip(within(copy, allTasks))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Unsupported", outcome: "none" })
      expect(error.message).toContain(`copy of the store at ${filename}`)
      expect(error.message).toContain("holdfast db adopt")
      yield* StoreAdmin.adopt(copy)
      expect(yield* within(copy, claim(queue, 1))).toMatchObject([{ id: "one" }])
    }))
})

describe("a store that demands newer code", () => {
  it.scopedLive("fences a live node of older code, and is refused to it", () =>
    Effect.gen(function*() {
      const { filename } = yield* storeOf("one")
      const node = yield* joinNode({ filename })
      const [held] = yield* node.ask("claim", { queue, limit: 1 })
      const newer = new Database(filename)
      newer.exec("UPDATE store SET schema_version = 99, schema_minimum = 99")
      newer.close()
      expect(yield* node.fenced).toBe(held?.node)
      const errors = [
        (yield* Effect.flip(node.ask("enqueue", { queue, ids: ["two"] }))).error,
        yield* Effect.flip(within(filename, allTasks))
      ]
      for (const error of errors) {
        expect(error).toMatchObject({ _tag: "StorageError", reason: "Unsupported", outcome: "none" })
        expect(error.message).toContain("needs schema version 99")
      }
    }))
})
