import { describe, expect, it } from "@effect/vitest"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Membership from "@holdfast/persistence/Membership"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import { isRunning } from "../support/command-processes.ts"
import {
  first,
  joinNode,
  processState,
  startFixture,
  stop,
  stopped,
  temporaryStore
} from "../support/store-processes.ts"
import { claim, claimAll, complete, enqueue } from "../support/store-tasks.ts"

const queue = "work"

const allTasks = Effect.flatMap(TaskStore, (store) => store.tasks({ limit: 100 }))

/** A node that holds two tasks and is stopped. */
const stoppedHolder = Effect.gen(function*() {
  const filename = yield* temporaryStore
  const node = yield* joinNode({ filename, leaseMillis: 500 })
  yield* node.ask("enqueue", { queue, ids: ["one", "two"] })
  const held = yield* node.ask("claim", { queue, limit: 2 })
  yield* stop(node)
  return { filename, node, held }
})

/** A node that stopped inside the transaction by which it settles its task, and a marked child it had started. */
const stoppedWriter = (leaseMillis: number) =>
  Effect.gen(function*() {
    const filename = yield* temporaryStore
    const node = yield* joinNode({
      filename,
      leaseMillis,
      signalBeforeCommit: { signal: "SIGSTOP", nth: 3 }
    })
    yield* node.ask("enqueue", { queue, ids: ["one"] })
    const task = first(yield* node.ask("claim", { queue, limit: 1 }))
    const outlived = Path.join(Path.dirname(filename), "outlived")
    const child = yield* node.ask("startMarked", { node: task.node, script: watch(node.pid, outlived) })
    return { filename, node, task, child, outlived, settling: node.ask("complete", task) }
  })

/** Makes a file when it sees the stopped process in any other state. */
const watch = (pid: number, outlived: string) => `
  until read -r stat < /proc/${pid}/stat && case $stat in *") T "*) true;; *) false;; esac; do :; done
  while read -r stat < /proc/${pid}/stat && case $stat in *") T "*) true;; *) false;; esac; do :; done
  touch ${outlived}`

describe("a node stopped past its lease", () => {
  it.scopedLive("changes nothing when it continues, is told that it was fenced, and joins under a new id", () =>
    Effect.gen(function*() {
      const { filename, held, node } = yield* stoppedHolder
      const settled = yield* Effect.gen(function*() {
        const tasks = yield* claimAll(queue, 2)
        expect(tasks.map((task) => task.attempt)).toEqual([2, 2])
        yield* Effect.forEach(tasks, complete)
        return yield* allTasks
      }).pipe(Effect.provide(Sqlite.layer({ filename })), Effect.scoped)

      const late = yield* Effect.fork(Effect.flip(node.ask("complete", first(held))))
      yield* node.signal("SIGCONT")
      expect(yield* node.fenced).toBe(first(held).node)
      expect(["NodeFenced", "Superseded"]).toContain((yield* Fiber.join(late)).error._tag)

      yield* node.ask("enqueue", { queue: "later", ids: ["three"] })
      const anew = first(yield* node.ask("claim", { queue: "later", limit: 1 }))
      expect(anew.node).not.toBe(first(held).node)
      yield* node.ask("complete", anew)
      const left = yield* Effect.provide(allTasks, Sqlite.layer({ filename }))
      expect(left.filter((task) => task.queue === queue)).toEqual(settled)
      expect(left.find((task) => task.queue === "later")).toMatchObject({ status: "completed" })
    }))

  it.scopedLive("loses its claims to every other node once, whatever they do at the same time", () =>
    Effect.gen(function*() {
      const { filename } = yield* stoppedHolder
      const survivors = yield* Effect.all([
        Layer.build(Sqlite.layer({ filename })),
        Layer.build(Sqlite.layer({ filename }))
      ], { concurrency: "unbounded" })
      const claimed = yield* Effect.forEach(
        survivors,
        (survivor) => Effect.provide(claimAll(queue, 1), survivor),
        { concurrency: "unbounded" }
      )
      expect(new Set(claimed.flat().map((task) => task.id))).toEqual(new Set(["one", "two"]))
      expect(claimed.flat().map((task) => task.attempt)).toEqual([2, 2])
    }))
})

describe("a node whose lock file somebody removed", () => {
  it.scopedLive("is fenced by the next node rather than run twice, and joins again", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const node = yield* Layer.build(Sqlite.layer({ filename }))
      yield* Effect.provide(enqueue(queue, ["one"]), node)
      const held = first(yield* Effect.provide(claim(queue, 1), node))
      FileSystem.rmSync(Membership.lockFile(filename, held.node))
      const other = yield* Layer.build(Sqlite.layer({ filename }))
      const taken = first(yield* Effect.provide(claim(queue, 1), other))
      expect(taken).toMatchObject({ id: "one", attempt: 2 })
      const error = yield* Effect.flip(Effect.provide(complete(held), node))
      expect(["NodeFenced", "Superseded"]).toContain(error._tag)
      yield* Effect.provide(complete(taken), other)
      yield* Effect.provide(enqueue(queue, ["two"]), node)
      expect(yield* Effect.provide(claim(queue, 1), node)).toMatchObject([{ id: "two" }])
    }))
})

describe("a node stopped inside a transaction", () => {
  it.scopedLive("is killed after its children by a node that opens the store", () =>
    Effect.gen(function*() {
      const { child, filename, node, outlived, settling } = yield* stoppedWriter(500)
      yield* Effect.fork(Effect.ignoreLogged(settling))
      yield* stopped(node.pid)
      const survivor = yield* Layer.build(Sqlite.layer({ filename }))
      expect(yield* node.exited).toBe("SIGKILL")
      expect(isRunning(child)).toBe(false)
      expect(FileSystem.existsSync(outlived)).toBe(false)
      const [task] = yield* Effect.provide(claim(queue, 1), survivor)
      expect(task).toMatchObject({ id: "one", attempt: 2 })
    }))

  it.scopedLive("is killed when its lease is over, though the deadline of whoever waits is shorter", () =>
    Effect.gen(function*() {
      const { filename, node, settling } = yield* stoppedWriter(2_000)
      const survivor = yield* Layer.build(Sqlite.layer({ filename, deadline: "200 millis" }))
      yield* Effect.fork(Effect.ignoreLogged(settling))
      yield* stopped(node.pid)
      const error = yield* Effect.flip(Effect.provide(enqueue(queue, ["two"]), survivor))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Busy", outcome: "none" })
      expect(error.message).toContain(`held by process ${node.pid}`)
      expect(processState(node.pid)).toBe("T")
      const claimed = yield* claimAll(queue, 1).pipe(
        Effect.retry({ while: (error) => error._tag === "StorageError" }),
        Effect.provide(survivor)
      )
      expect(yield* node.exited).toBe("SIGKILL")
      expect(claimed).toMatchObject([{ id: "one", attempt: 2 }])
    }))
})

describe("a stopped process that is not a node", () => {
  it.scopedLive("is named to whoever waits for its lock, and left alone", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const options = { filename, lease: "100 millis", deadline: "300 millis" } as const
      const survivor = yield* Layer.build(Sqlite.layer(options))
      const stranger = yield* startFixture("file-holder.ts", filename)
      expect(yield* stranger.line).toBe("holding")
      yield* stranger.signal("SIGSTOP")
      yield* stopped(stranger.pid)
      const errors = yield* Effect.all([
        Effect.flip(Effect.provide(enqueue(queue, ["one"]), survivor)),
        Effect.flip(Effect.scoped(Layer.build(Sqlite.layer(options))))
      ])
      for (const error of errors) {
        expect(error).toMatchObject({ _tag: "StorageError", reason: "Busy", outcome: "none" })
        expect(error.message).toContain(`process ${stranger.pid}, which is stopped and not a node`)
      }
      expect(processState(stranger.pid)).toBe("T")
      yield* stranger.signal("SIGKILL")
      yield* stranger.exited
      expect(yield* Effect.provide(enqueue(queue, ["one"]), survivor)).toBe(1)
    }))
})
