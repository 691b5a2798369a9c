import { describe, expect, it } from "@effect/vitest"
import { AgentScript, checkAgent, checkScript } from "@holdfast/agents/testing"
import { ModelViolated } from "@holdfast/agents/testing/ModelViolated"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Samples from "./samples.ts"

const { Account, Counter, accountModel, counterModel, counterPayloads, journalModel } = Samples

const counterLayer = Samples.counterLayer(Counter)
const accountLayers = Layer.merge(Samples.accountLayer, Samples.journalLayer)

describe("checkAgent", () => {
  it.effect("finds nothing wrong with a counter that is what its model says, whatever disturbs it", () =>
    checkAgent(Counter, counterLayer, counterModel, { payloads: counterPayloads, burstMax: 4 }))

  it.effect("finds nothing wrong with agents that tell one another, at once and later", () =>
    checkAgent(Account, accountLayers, accountModel, {
      payloads: Samples.accountPayloads,
      others: [journalModel],
      numRuns: 30
    }))

  it.effect("finds a handler that forgets the limit, shows the script up to there, and finds it again", () =>
    Effect.gen(function*() {
      const forgetful = Samples.counterLayer(Counter, Samples.limit + 9)
      const options = { payloads: counterPayloads, numRuns: 300 }
      const violated = yield* Effect.flip(checkAgent(Counter, forgetful, counterModel, options))
      expect(violated).toBeInstanceOf(ModelViolated)
      expect(violated.subject).toMatch(/^the (answer|state) of Counter/)
      expect(violated.crash).toBeNull()
      expect(violated.action).toBe(violated.script.length)
      expect(violated.script.join()).toContain("Add")
      const { expected, found, path, seed, subject } = violated
      const again = { ...options, seed: seed ?? 0, path: path ?? "" }
      expect(yield* Effect.flip(checkAgent(Counter, forgetful, counterModel, again))).toMatchObject({
        subject,
        expected,
        found
      })
    }))

  it.effect("finds a tell that is forgotten in an agent that it was to reach", () =>
    Effect.gen(function*() {
      const violated = yield* Effect.flip(
        checkAgent(
          Account,
          Layer.merge(Samples.silentAccountLayer, Samples.journalLayer),
          accountModel,
          { payloads: Samples.accountPayloads, others: [journalModel] }
        )
      )
      expect(violated.subject).toBe("the state of Journal/main")
    }))

  it.effect("finds an agent that parks where its model goes on", () =>
    Effect.gen(function*() {
      const violated = yield* Effect.flip(
        checkScript(Counter, counterLayer, {
          ...counterModel,
          handle: { ...counterModel.handle, Boom: (state) => [state, Exit.void] }
        }, [{ _tag: "Tell", id: "a", message: { rpc: "Boom", payload: undefined } }])
      )
      expect(violated.subject).toBe("what was told")
      expect(violated.found).toContain("\"parked\":1")
    }))
})

describe("checkScript", () => {
  it("is a property of FastCheck", () =>
    FastCheck.assert(
      FastCheck.asyncProperty(AgentScript.make(Counter, { payloads: counterPayloads }), (script) =>
        Effect.runPromise(checkScript(Counter, counterLayer, counterModel, script))),
      { numRuns: 5 }
    ))

  it.effect("waits out what a handler sleeps, in no time", () =>
    checkScript(
      Counter,
      Samples.slowCounterLayer,
      counterModel,
      [
        { _tag: "Ask", id: "a", messages: [{ rpc: "Add", payload: { by: 2 } }], disturbance: null },
        { _tag: "Tell", id: "a", message: { rpc: "Add", payload: { by: 3 } } },
        { _tag: "Reopen" },
        { _tag: "Ask", id: "a", messages: [{ rpc: "Read", payload: undefined }], disturbance: null }
      ]
    ))
})
