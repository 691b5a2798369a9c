import { describe, expect, it } from "@effect/vitest"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import { suite } from "../core/CoordinationSuite.ts"
import { startFixture, temporaryDirectory } from "../support/store-processes.ts"

suite("SQLite", Sqlite.layer({ filename: ":memory:" }))

describe("coordination of processes", () => {
  it.scopedLive("elects the next process when the leader is killed, and again when that one is stopped, which learns it", () =>
    Effect.gen(function*() {
      const filename = `${yield* temporaryDirectory}/store.db`
      const waiter = () => startFixture("lock-waiter.ts", filename)
      const killed = yield* waiter()
      const first = yield* killed.line
      const stopped = yield* waiter()
      yield* killed.signal("SIGKILL")
      const second = yield* stopped.line
      const last = yield* waiter()
      yield* stopped.signal("SIGSTOP")
      const third = yield* last.line
      yield* stopped.signal("SIGCONT")
      expect(yield* stopped.line).toBe(second.replace("elected", "lost"))
      const tokens = [first, second, third].map((line) => Number(line.replace("elected ", "")))
      expect(tokens).toEqual(Array.from(new Set(tokens)).sort((a, b) => a - b))
      expect(tokens.every((token) => token > 0)).toBe(true)
    }))
})
