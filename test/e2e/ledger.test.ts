import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { ledgerLoop } from "../support/ledger-loop.ts"

describe("a ledger of 20 accounts killed with SIGKILL at 10 random moments of 2,000 transfers", () => {
  it.scopedLive(
    "holds all its money, and each transfer it has acknowledged exactly once",
    () =>
      Effect.gen(function*() {
        const seed = (yield* Clock.currentTimeMillis) % 2 ** 31
        const report = yield* ledgerLoop({ transfers: 2_000, kills: 10, seed })
        expect(report.violations, `seed ${seed}`).toEqual([])
        expect(report.met.working, `seed ${seed}`).toBeGreaterThan(0)
        expect(report.accepted, `seed ${seed}`).toBeGreaterThan(500)
      })
  )
})
