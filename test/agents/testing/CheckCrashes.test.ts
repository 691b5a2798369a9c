import { describe, expect, it } from "@effect/vitest"
import { checkAgentCrashes, checkScriptCrashes } from "@holdfast/agents/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Samples from "./samples.ts"

const { Account, Counter, Relaxed, accountModel, counterModel, counterPayloads, journalModel } = Samples

const accounts = { payloads: Samples.accountPayloads, others: [journalModel] }

describe("checkAgentCrashes", () => {
  it.effect("loses nothing that a counter has answered, and applies keys once, at any commit", () =>
    Effect.gen(function*() {
      const crashes = yield* checkAgentCrashes(Counter, Samples.counterLayer(Counter), counterModel, {
        payloads: counterPayloads,
        burstMax: 3
      })
      expect(crashes).toBeGreaterThan(50)
    }))

  it.effect("delivers once in effect what agents tell one another, at any commit", () =>
    Effect.gen(function*() {
      const layers = Layer.merge(Samples.accountLayer, Samples.journalLayer)
      const crashes = yield* checkAgentCrashes(Account, layers, accountModel, accounts)
      expect(crashes).toBeGreaterThan(50)
    }))

  it.effect("finds that relaxed durability loses what was answered", () =>
    Effect.gen(function*() {
      const violated = yield* Effect.flip(
        checkAgentCrashes(Relaxed, Samples.counterLayer(Relaxed), counterModel, {
          payloads: counterPayloads,
          weights: { Boom: 0, GiveUp: 0 },
          numRuns: 50
        })
      )
      expect(violated.subject).toMatch(/^the (state|answer) of Counter/)
      expect(violated.crash).toMatch(/^before commit \d+: CommitMessage of/)
      expect(violated.message).toContain(`again: { seed: ${violated.seed}`)
    }))

  it.effect("finds a handler that acts on what is not committed", () =>
    Effect.gen(function*() {
      const layers = Layer.merge(Samples.hastyAccountLayer, Samples.journalLayer)
      const violated = yield* Effect.flip(checkAgentCrashes(Account, layers, accountModel, accounts))
      expect(violated.subject).toMatch(/^the state of/)
      expect(violated.crash).not.toBeNull()
    }))
})

describe("checkScriptCrashes", () => {
  it.effect("ends the process before and after each commit: an activation, a message and a passivation", () =>
    Effect.gen(function*() {
      const crashes = yield* checkScriptCrashes(Counter, Samples.counterLayer(Counter), counterModel, [
        { _tag: "Ask", id: "a", messages: [{ rpc: "Add", payload: { by: 1 } }], disturbance: null },
        { _tag: "Stop", id: "a" }
      ])
      expect(crashes).toBe(6)
    }))
})
