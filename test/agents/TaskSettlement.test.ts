import { describe, expect, it } from "@effect/vitest"
import * as Encoded from "@holdfast/agents/Encoded"
import * as TaskOutcome from "@holdfast/agents/TaskOutcome"
import * as TaskSettlement from "@holdfast/agents/TaskSettlement"
import * as Backoff from "@holdfast/core/Backoff"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"

const outcome: FastCheck.Arbitrary<TaskOutcome.Encoded> = FastCheck.oneof(
  FastCheck.record({ _tag: FastCheck.constant("Success" as const), value: FastCheck.json() }),
  FastCheck.record({ _tag: FastCheck.constant("Failure" as const), error: FastCheck.json() }),
  FastCheck.record({ _tag: FastCheck.constant("Defect" as const), detail: FastCheck.fullUnicodeString() }),
  FastCheck.record({ _tag: FastCheck.constant("Lost" as const), node: FastCheck.uuid() })
)

const task = FastCheck.record({
  attempt: FastCheck.integer({ min: 1, max: 5 }),
  attemptsMax: FastCheck.integer({ min: 1, max: 5 })
})

const at = FastCheck.record({
  backoff: FastCheck.constantFrom(Backoff.exponential(), Backoff.linear(), Backoff.immediate),
  nowMillis: FastCheck.nat(),
  random01: FastCheck.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
})

describe("TaskSettlement", () => {
  it.prop(
    "law: a success completes, any other end is retried while attempts are left and is dead after the last",
    { task, end: outcome, at },
    ({ at, end, task }) => {
      const settlement = TaskSettlement.decide(task, end, at)
      const last = task.attempt >= task.attemptsMax
      expect(settlement._tag).toBe(end._tag === "Success" ? "Completed" : last ? "Dead" : "Retry")
      expect("outcome" in settlement && settlement.outcome).toBe(TaskOutcome.encode(end))
    }
  )

  it.prop("law: an interruption gives the attempt back, also the last one", { task, at }, ({ at, task }) => {
    expect(TaskSettlement.decide(task, { _tag: "Interrupted" }, at)).toEqual({ _tag: "Released" })
  })

  it.prop(
    "law: the next attempt comes after the policy's delay for its number",
    { attempt: FastCheck.integer({ min: 1, max: 30 }), at },
    ({ at, attempt }) => {
      const end = { _tag: "Defect", detail: "" } as const
      const settlement = TaskSettlement.decide({ attempt, attemptsMax: 31 }, end, at)
      const delay = Backoff.delayMillis(at.backoff, attempt + 1, at.random01)
      expect(settlement).toMatchObject({ _tag: "Retry", notBeforeMillis: at.nowMillis + delay })
    }
  )

  it("waits the first delay after the first attempt", () => {
    const backoff = Backoff.exponential({ base: "1 second", jitter: "none" })
    const end = { _tag: "Failure", error: "1" } as const
    const decide = (attempt: number) =>
      TaskSettlement.decide({ attempt, attemptsMax: 9 }, end, { backoff, nowMillis: 5, random01: 0 })
    expect([1, 2, 3].map(decide)).toMatchObject([
      { notBeforeMillis: 1_005 },
      { notBeforeMillis: 2_005 },
      { notBeforeMillis: 4_005 }
    ])
  })
})

describe("TaskOutcome", () => {
  const codecs = { success: Encoded.codec(Schema.Unknown), error: Encoded.codec(Schema.Unknown) }

  it.effect.prop(
    "law: what was stored is read back, with values and errors decoded",
    { outcome },
    ({ outcome }) =>
      Effect.gen(function*() {
        const decoded = yield* TaskOutcome.decode(codecs, TaskOutcome.encode(outcome))
        const expected = outcome._tag === "Success"
          ? { ...outcome, value: JSON.parse(outcome.value) }
          : outcome._tag === "Failure"
          ? { ...outcome, error: JSON.parse(outcome.error) }
          : outcome
        expect(decoded).toEqual(expected)
      })
  )

  it.effect("fails typed on what is no outcome", () =>
    Effect.gen(function*() {
      for (const text of ["", "{}", `{"_tag":"Other"}`, `{"_tag":"Success","value":"not json"}`]) {
        expect(yield* Effect.flip(TaskOutcome.decode(codecs, text))).toMatchObject({ _tag: "ParseError" })
      }
    }))
})
