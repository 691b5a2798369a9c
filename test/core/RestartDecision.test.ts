import { assert, describe, it } from "@effect/vitest"
import * as RestartDecision from "@holdfast/core/RestartDecision"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as FiberId from "effect/FiberId"

const now = { decision: "restart", delay: Duration.zero } as const
const stop = { decision: "stop" } as const
const kinds = ["permanent", "transient", "temporary"] as const

const leaf: FastCheck.Arbitrary<Cause.Cause<string>> = FastCheck.constantFrom(
  Cause.die("bug"),
  Cause.fail("first"),
  Cause.fail("second"),
  Cause.interrupt(FiberId.none)
)
const cause: FastCheck.Arbitrary<Cause.Cause<string>> =
  FastCheck.letrec<{ cause: Cause.Cause<string> }>((tie) => ({
    cause: FastCheck.oneof(
      { maxDepth: 4 },
      leaf,
      FastCheck.tuple(tie("cause"), tie("cause")).map(([left, right]) => Cause.parallel(left, right)),
      FastCheck.tuple(tie("cause"), tie("cause")).map(([left, right]) => Cause.sequential(left, right))
    )
  })).cause

const decide = (restart: RestartDecision.RestartKind, cause: Cause.Cause<string>) =>
  RestartDecision.decide(restart, () => "escalate", Exit.failCause(cause))

describe("RestartDecision", () => {
  it("restarts after success only what is permanent", () => {
    const decisions = kinds.map((kind) => RestartDecision.decide(kind, () => "restart", Exit.void))
    assert.deepStrictEqual(decisions, [now, stop, stop])
  })

  it("restarts after a defect, or an interruption from elsewhere, all but what is temporary", () => {
    for (const ended of [Cause.die("bug"), Cause.interrupt(FiberId.none), Cause.empty]) {
      assert.deepStrictEqual(kinds.map((kind) => decide(kind, ended)), [now, now, stop])
    }
  })

  it("leaves a typed failure to onFailure, whatever the restart kind", () => {
    const decisions = [
      "restart",
      "stop",
      "park",
      "escalate",
      RestartDecision.restartAfter("1 second")
    ] as const
    for (const kind of kinds) {
      assert.deepStrictEqual(
        decisions.map((decision) => RestartDecision.decide(kind, () => decision, Exit.fail("error"))),
        [now, stop, { decision: "park" }, { decision: "escalate", error: "error" }, {
          decision: "restart",
          delay: Duration.seconds(1)
        }]
      )
    }
  })

  it.prop(
    "law: in a mixed cause a defect outweighs a failure, and that an interruption",
    [cause],
    ([cause]) => {
      const exit = Exit.failCause(cause)
      const expected = Cause.isDie(cause) ? "defect" : Cause.isFailure(cause) ? "failure" : "interrupted"
      assert.strictEqual(RestartDecision.exitClass(exit), expected)
      assert.deepStrictEqual(
        decide("transient", cause).decision,
        expected === "failure" ? "escalate" : "restart"
      )
    }
  )

  it("decides on the first of several typed failures", () => {
    const both = Cause.parallel(
      Cause.interrupt(FiberId.none),
      Cause.parallel(Cause.fail("first"), Cause.fail("second"))
    )
    assert.deepStrictEqual(decide("permanent", both), { decision: "escalate", error: "first" })
  })
})
