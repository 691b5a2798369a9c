import { assert, describe, it } from "@effect/vitest"
import * as RestartIntensity from "@holdfast/core/RestartIntensity"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"

const intensity = FastCheck.record({
  maxRestarts: FastCheck.integer({ min: 0, max: 5 }),
  periodMillis: FastCheck.integer({ min: 1, max: 100 })
})
const pauses = FastCheck.array(
  FastCheck.oneof(FastCheck.constant(0), FastCheck.integer({ min: 0, max: 60 })),
  {
    maxLength: 60
  }
)

const mayRestart = (
  limit: RestartIntensity.RestartIntensity,
  everAdmitted: ReadonlyArray<number>,
  atMillis: number
): boolean =>
  everAdmitted.filter((time) => atMillis - time <= limit.periodMillis).length + 1 <= limit.maxRestarts

describe("RestartIntensity", () => {
  it.prop(
    "law: refuses a restart exactly when more than maxRestarts would be within the last period",
    [intensity, pauses],
    ([limit, pauses]) => {
      const everAdmitted: Array<number> = []
      let restarts: RestartIntensity.RestartTimes = []
      let atMillis = 0
      for (const pause of pauses) {
        atMillis += pause
        const admitted = RestartIntensity.admit(limit, restarts, atMillis)
        assert.strictEqual(Option.isSome(admitted), mayRestart(limit, everAdmitted, atMillis))
        if (Option.isNone(admitted)) continue
        restarts = admitted.value
        everAdmitted.push(atMillis)
      }
    },
    { fastCheck: { numRuns: 2_000 } }
  )

  it.prop(
    "law: holds at most maxRestarts times, all within the period",
    [intensity, pauses],
    ([limit, pauses]) => {
      let restarts: RestartIntensity.RestartTimes = []
      let atMillis = 0
      for (const pause of pauses) {
        atMillis += pause
        const admitted = RestartIntensity.admit(limit, restarts, atMillis)
        if (Option.isNone(admitted)) continue
        restarts = admitted.value
        assert.isAtMost(restarts.length, limit.maxRestarts)
        assert.isTrue(restarts.every((time) => time >= atMillis - limit.periodMillis))
      }
    },
    { fastCheck: { numRuns: 500 } }
  )

  it("counts a restart exactly a period ago, and no longer a millisecond later", () => {
    const limit = RestartIntensity.unsafeMake(1, "5 seconds")
    assert.isTrue(Option.isNone(RestartIntensity.admit(limit, [0], 5_000)))
    assert.deepStrictEqual(RestartIntensity.admit(limit, [0], 5_001), Option.some([5_001]))
  })

  it("is 3 restarts in 5 seconds where nothing else is said", () => {
    assert.deepStrictEqual(RestartIntensity.unsafeMake(), { maxRestarts: 3, periodMillis: 5_000 })
  })

  it("refuses a number of restarts that is not natural and a period that is not positive", () => {
    for (const maxRestarts of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => RestartIntensity.unsafeMake(maxRestarts), /maxRestarts must be a natural number/)
    }
    for (const period of ["0 seconds", -1, Number.NaN] as const) {
      assert.throws(
        () => RestartIntensity.unsafeMake(3, period),
        new RegExp(`period must be .*not ${period}`)
      )
    }
  })
})
