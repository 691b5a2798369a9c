import { describe, expect, it } from "@effect/vitest"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { StoreNode } from "../support/store-processes.ts"
import { joinNode, startFixture, temporaryStore } from "../support/store-processes.ts"
import { claim, complete, enqueue, ids } from "../support/store-tasks.ts"

const queue = "work"

/** Enqueues tasks in 50 commits, and completes what it can claim until it has had its share; yields their ids. */
const work = (node: StoreNode, name: string, share: number) =>
  Effect.gen(function*() {
    const done: Array<string> = []
    const finish = Effect.gen(function*() {
      while (done.length < share) {
        const tasks = yield* node.ask("claim", { queue, limit: Math.min(7, share - done.length) })
        yield* Effect.forEach(tasks, (task) => node.ask("complete", task), { concurrency: "unbounded" })
        done.push(...tasks.map((task) => task.id))
      }
    })
    const chunks = Array.from({ length: 50 }, (_, chunk) => ids(`${name}-${chunk}`, share / 50))
    const fill = Effect.forEach(chunks, (some) => node.ask("enqueue", { queue, ids: some }), {
      concurrency: 5
    })
    yield* Effect.all([fill, finish], { concurrency: "unbounded" })
    return done
  })

describe("processes on one file", () => {
  it.scopedLive("enqueue, claim and complete at the same time: no error, no task twice, none lost", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const nodes = yield* Effect.all([joinNode({ filename }), joinNode({ filename })], {
        concurrency: "unbounded"
      })
      const done = yield* Effect.forEach(nodes, (node, index) => work(node, `node-${index}`, 500), {
        concurrency: "unbounded"
      })
      expect(done.map((share) => share.length)).toEqual([500, 500])
      expect(new Set(done.flat()).size).toBe(1_000)
      const queues = yield* Effect.flatMap(TaskStore, (store) => store.queues).pipe(
        Effect.provide(Sqlite.layer({ filename }))
      )
      expect(queues).toMatchObject([{ counts: { ready: 0, running: 0, completed: 1_000, dead: 0 } }])
    }))

  it.scopedLive("wait for one that holds it again and again, 50 ms each time", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const node = yield* Layer.build(Sqlite.layer({ filename }))
      const hog = yield* startFixture("file-holder.ts", filename, "50")
      expect(yield* hog.line).toBe("holding")
      const second = yield* Layer.build(Sqlite.layer({ filename }))
      for (const one of [node, second, node, second]) {
        yield* Effect.gen(function*() {
          yield* enqueue(queue, [globalThis.crypto.randomUUID()])
          const tasks = yield* claim(queue, 1)
          expect(tasks).toHaveLength(1)
          yield* Effect.forEach(tasks, complete)
        }).pipe(Effect.provide(one))
      }
    }))
})
