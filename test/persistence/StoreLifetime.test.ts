import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { runFixture, temporaryStore } from "../support/store-processes.ts"

/** What a process that opened and closed a store, and then ended by itself, said of it. */
const lifetime = (cycles: number, tasks: number) =>
  Effect.gen(function*() {
    const filename = yield* temporaryStore
    return JSON.parse(yield* runFixture("store-lifetime.ts", filename, `${cycles}`, `${tasks}`))
  })

describe("a store that is closed", () => {
  it.scopedLive("leaves nothing behind, however often it was opened, and had no thread for little work", () =>
    Effect.gen(function*() {
      const { after, before, fibers, threads } = yield* lifetime(200, 1)
      expect({ after, fibers, threads }).toEqual({ after: before, fibers: 0, threads: 0 })
      expect(after.files).toEqual(["store.db"])
    }))

  it.scopedLive("ends the thread that checkpointed it, so that the process can end by itself", () =>
    Effect.gen(function*() {
      const { after, before, fibers, threads } = yield* lifetime(2, 100)
      expect({ after, fibers, threads }).toEqual({ after: before, fibers: 0, threads: 3 })
    }))
})
