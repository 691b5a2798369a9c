import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { killLoop } from "../support/kill-loop.ts"

describe("a batch of 300 tasks killed with SIGKILL at 20 random moments", () => {
  it.scopedLive(
    "has each task once in --out with status ok, and ran at most kills x concurrency more",
    () =>
      Effect.gen(function*() {
        const seed = (yield* Clock.currentTimeMillis) % 2 ** 31
        const report = yield* killLoop({ tasks: 300, kills: 20, concurrency: 4, seed })
        expect(report.violations, `seed ${seed}`).toEqual([])
        expect(report.met.starting, `seed ${seed}`).toBeGreaterThan(0)
        expect(report.met.working, `seed ${seed}`).toBeGreaterThan(0)
      }),
    120_000
  )
})
