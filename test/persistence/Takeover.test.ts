import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as NodeRows from "@holdfast/persistence/NodeRows"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as SqliteReader from "@holdfast/persistence/SqliteReader"
import * as Takeover from "@holdfast/persistence/Takeover"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import { isRunning } from "../support/command-processes.ts"
import { first, joinNode, kill, startNode, stop, temporaryStore } from "../support/store-processes.ts"
import { claim, claimAll, ids } from "../support/store-tasks.ts"
import { openWatched, tasksWritten } from "../support/watched-connection.ts"

const queue = "work"

/** A lease nobody waits for. */
const lease = "10 minutes"
const leaseMillis = 600_000

/** The ids in the names of a store's lock files. */
const lockFiles = (filename: string): ReadonlyArray<string> =>
  FileSystem.readdirSync(Path.dirname(filename)).flatMap((name) => name.split("store.db.node-")[1] ?? [])

/** The ids in the rows of a store's nodes. */
const nodeRows = (filename: string) =>
  Effect.scoped(
    Effect.flatMap(SqliteReader.open(filename), (reader) =>
      Effect.map(
        reader.read("nodes", () => NodeRows.all()),
        (rows) => rows.map((row) => row.id)
      ))
  )

/** Completes when a node has no row any more. */
const takenOver = (filename: string, node: string) =>
  Effect.repeat(Effect.delay(nodeRows(filename), "10 millis"), { until: (rows) => !rows.includes(node) })

/** A killed node that held tasks. */
const killedHolder = (count: number) =>
  Effect.gen(function*() {
    const filename = yield* temporaryStore
    const node = yield* joinNode({ filename, leaseMillis })
    yield* Effect.forEach(chunks(ids("task", count)), (some) => node.ask("enqueue", { queue, ids: some }))
    const held = yield* node.ask("claim", { queue, limit: count })
    expect(held.length).toBe(count)
    yield* kill(node)
    return { filename, held, node: first(held).node }
  })

const chunks = (all: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> =>
  all.length <= 1_000 ? [all] : [all.slice(0, 1_000), ...chunks(all.slice(1_000))]

describe("after a node was killed", () => {
  it.scopedLive("its claims are there for the next node at once, its row and its lock file are gone", () =>
    Effect.gen(function*() {
      const { filename, node } = yield* killedHolder(3)
      expect(lockFiles(filename)).toEqual([node])
      yield* Effect.gen(function*() {
        const tasks = yield* claim(queue, 10)
        expect(tasks).toMatchObject(ids("task", 3).map((id) => ({ id, attempt: 2 })))
        expect(yield* nodeRows(filename)).toEqual([first(tasks).node])
        expect(lockFiles(filename)).toEqual([first(tasks).node])
      }).pipe(Effect.provide(Sqlite.layer({ filename, lease })))
      expect(lockFiles(filename)).toEqual([])
    }))

  it.scopedLive("a node that was there already takes over without waiting for the lease", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const survivor = yield* Layer.build(Sqlite.layer({ filename, lease }))
      const node = yield* joinNode({ filename, leaseMillis })
      yield* node.ask("enqueue", { queue, ids: ["one"] })
      yield* node.ask("claim", { queue, limit: 1 })
      yield* kill(node)
      expect(yield* Effect.provide(claimAll(queue, 1), survivor)).toMatchObject([{ attempt: 2 }])
    }))

  it.scopedLive("a task on its last attempt is dead, and says that the attempt was lost with the node", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const node = yield* joinNode({ filename, leaseMillis })
      yield* node.ask("enqueue", { queue, ids: ["one"], attemptsMax: 1 })
      const held = first(yield* node.ask("claim", { queue, limit: 1 }))
      yield* kill(node)
      const tasks = yield* Effect.flatMap(TaskStore, (store) => store.tasks({ limit: 10 })).pipe(
        Effect.provide(Sqlite.layer({ filename, lease }))
      )
      expect(tasks).toMatchObject([{ status: "dead", attempt: 1, node: null }])
      expect(JSON.parse(first(tasks).outcome ?? "")).toEqual({ _tag: "Lost", node: held.node })
    }))

  it.scopedLive("its children are dead before its tasks can be claimed", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const node = yield* joinNode({ filename, leaseMillis })
      yield* node.ask("enqueue", { queue, ids: ["one"] })
      const held = first(yield* node.ask("claim", { queue, limit: 1 }))
      const script = "setsid sleep 1000 & exec sleep 1000"
      const child = yield* node.ask("startMarked", { node: held.node, script })
      yield* kill(node)
      expect(isRunning(child)).toBe(true)
      const running: Array<boolean> = []
      const open = openWatched((statements) => {
        if (tasksWritten(statements) > 0) running.push(isRunning(child))
      })
      yield* Layer.build(Sqlite.layerWith({ filename, lease }, open))
      expect(running).toEqual([false])
    }))
})

describe("a takeover of many claims", () => {
  it.scopedLive("gives them back in bounded batches", () =>
    Effect.gen(function*() {
      const { filename, held } = yield* killedHolder(2_500)
      const batches: Array<number> = []
      const open = openWatched((statements) => void batches.push(tasksWritten(statements)))
      const survivor = yield* Layer.build(Sqlite.layerWith({ filename, lease }, open))
      expect(batches.filter((rows) => rows > 0)).toEqual([
        Takeover.releaseLimit,
        Takeover.releaseLimit,
        held.length - 2 * Takeover.releaseLimit
      ])
      expect(yield* Effect.provide(claim(queue, 3_000), survivor)).toHaveLength(held.length)
    }))

  it.scopedLive("is done once by two nodes that see it at the same time", () =>
    Effect.gen(function*() {
      const { filename, held } = yield* killedHolder(2_500)
      const survivors = yield* Effect.all([
        Layer.build(Sqlite.layer({ filename, lease })),
        Layer.build(Sqlite.layer({ filename, lease }))
      ], { concurrency: "unbounded" })
      const shares = yield* Effect.forEach(
        survivors,
        (survivor) => Effect.provide(claim(queue, 3_000), survivor),
        { concurrency: "unbounded" }
      )
      const tasks = shares.flat()
      expect(tasks.map((task) => task.attempt)).toEqual(held.map(() => 2))
      expect(new Set(tasks.map((task) => task.id)).size).toBe(held.length)
      expect(yield* nodeRows(filename)).toHaveLength(2)
    }))

  it.scopedLive("is finished by the next node when the one that did it is killed in the middle", () =>
    Effect.gen(function*() {
      const { filename, held } = yield* killedHolder(2_500)
      const second = yield* startNode({
        filename,
        leaseMillis,
        signalBeforeCommit: { signal: "SIGKILL", nth: 2 }
      })
      expect(yield* second.exited).toBe("SIGKILL")
      expect(yield* nodeRows(filename)).toHaveLength(2)
      yield* Effect.gen(function*() {
        const tasks = yield* claim(queue, 3_000)
        expect(tasks.map((task) => task.attempt)).toEqual(held.map(() => 2))
        expect(lockFiles(filename)).toEqual(yield* nodeRows(filename))
      }).pipe(Effect.provide(Sqlite.layer({ filename, lease })))
    }))
})

describe("lock files without a row", () => {
  it.scopedLive("are removed when a store is opened: a fenced node may be killed before it joins again", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const node = yield* joinNode({ filename, leaseMillis: 500 })
      yield* node.ask("enqueue", { queue, ids: ["one"] })
      const held = first(yield* node.ask("claim", { queue, limit: 1 }))
      yield* stop(node)
      yield* takenOver(filename, held.node).pipe(Effect.provide(Sqlite.layer({ filename })))
      expect(lockFiles(filename)).toEqual([held.node])
      yield* Effect.provide(CommitLog, Sqlite.layer({ filename }))
      expect(lockFiles(filename)).toEqual([held.node])
      yield* kill(node)
      yield* Effect.provide(CommitLog, Sqlite.layer({ filename }))
      expect(lockFiles(filename)).toEqual([])
    }))
})
