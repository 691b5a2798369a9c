import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { agentLives } from "../support/agent-lives.ts"

describe("agents", () => {
  it.scopedLive("that were activated, told, crashed and passivated, twice, leave nothing in memory", () =>
    Effect.gen(function*() {
      const { counted, heap, live } = yield* agentLives(3_000)
      expect(live).toBe(0)
      expect(heap).toBeLessThan(1.02)
      expect(counted).toBeGreaterThanOrEqual(7)
    }))
})
