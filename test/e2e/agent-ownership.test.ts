import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type RunningFixture, startFixture, temporaryStore } from "../support/store-processes.ts"

const sumOf = (line: string): number | null => line.startsWith("ok ") ? Number(line.slice(3)) : null

/** Reads lines until one is a sum, and yields it with what came before. */
const nextSum = ({ line }: RunningFixture) =>
  Effect.iterate({ sum: null as number | null, before: [] as ReadonlyArray<string> }, {
    while: ({ sum }) => sum === null,
    body: ({ before }) =>
      Effect.map(
        line,
        (text) => ({ sum: sumOf(text), before: sumOf(text) === null ? [...before, text] : before })
      )
  })

/** Reads lines until one says that the other process owns the agent. */
const elsewhere = ({ line }: RunningFixture) =>
  Effect.iterate("", { while: (text) => text !== "AgentElsewhere", body: () => line })

describe("an agent of two processes", () => {
  it.scopedLive("belongs to one of them at a time, also where the other was stopped past its lease and goes on", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      const first = yield* startFixture("agent-node.ts", filename, "1000")
      const { sum: begun } = yield* nextSum(first)
      expect(begun).toBe(1)

      const second = yield* startFixture("agent-node.ts", filename, "1000")
      expect(yield* second.line).toBe("AgentElsewhere")

      yield* first.signal("SIGSTOP")
      const taken = yield* nextSum(second)
      yield* first.signal("SIGCONT")

      // What it had begun before it was stopped is refused; from then on the other one owns the agent.
      yield* elsewhere(first)
      const refused = yield* Effect.replicateEffect(first.line, 10)
      expect(new Set(refused)).toEqual(new Set(["AgentElsewhere"]))
      const sums = yield* Effect.replicateEffect(nextSum(second), 10)
      expect(sums.map(({ sum }) => sum)).toEqual(sums.map((_, index) => (taken.sum ?? 0) + 1 + index))
      expect(sums.every(({ before }) => before.length === 0)).toBe(true)

      yield* second.signal("SIGKILL")
      const again = yield* nextSum(first)
      expect(again.sum).toBeGreaterThanOrEqual((sums.at(-1)?.sum ?? 0) + 1)
    }))
})
