import { describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { followScript } from "./SupervisorHarness.ts"
import { script } from "./SupervisorScript.ts"

describe("Supervisor", () => {
  it("law: a tree under rest_for_one does what OTP's rules say: who runs, in which order, restarts, escalation", () => {
    FastCheck.assert(FastCheck.property(script("rest_for_one"), followScript), { numRuns: 3_400 })
  })
})
