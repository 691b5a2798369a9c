import { describe, expect, it } from "@effect/vitest"
import * as TokenBucket from "@holdfast/core/TokenBucket"
import * as FastCheck from "effect/FastCheck"

const config = FastCheck.record({
  limit: FastCheck.integer({ min: 1, max: 2_000 }),
  intervalMillis: FastCheck.integer({ min: 1, max: 5_000 }),
  burst: FastCheck.integer({ min: 1, max: 50 })
})

const requests = FastCheck.array(
  FastCheck.record({
    pauseMillis: FastCheck.oneof(FastCheck.constant(0), FastCheck.integer({ min: 0, max: 3_000 })),
    cost: FastCheck.integer({ min: 1, max: 50 })
  }),
  { maxLength: 60 }
)

interface Taken {
  readonly atMillis: number
  readonly cost: number
}

/** Exact: both sides of the comparison are whole numbers. */
const isWithinLimit = (config: TokenBucket.Config, taken: ReadonlyArray<Taken>): boolean =>
  taken.every((first, from) => {
    let sum = 0
    return taken.slice(from).every((last) => {
      sum += last.cost
      const refilled = config.limit * (last.atMillis - first.atMillis)
      return (sum - config.burst) * config.intervalMillis <= refilled
    })
  })

describe("TokenBucket", () => {
  it.prop(
    "law: no window admits more than rate x time + burst",
    { config, requests },
    ({ config, requests }) => {
      const taken: Array<Taken> = []
      let state = TokenBucket.full
      let atMillis = 0
      for (const { cost, pauseMillis } of requests) {
        atMillis += pauseMillis
        const decision = TokenBucket.take(config, state, atMillis, cost)
        state = decision.state
        if (decision.waitMillis === 0) taken.push({ atMillis, cost })
      }
      expect(isWithinLimit(config, taken)).toBe(true)
    },
    { fastCheck: { numRuns: 1_000 } }
  )

  it.prop(
    "law: one that comes back after the wait gets its tokens, and a millisecond earlier it does not",
    { config, requests },
    ({ config, requests }) => {
      let state = TokenBucket.full
      let atMillis = 0
      for (const { cost, pauseMillis } of requests.filter(({ cost }) => cost <= config.burst)) {
        atMillis += pauseMillis
        const { waitMillis } = TokenBucket.take(config, state, atMillis, cost)
        const waitAt = (millis: number) => TokenBucket.take(config, state, millis, cost).waitMillis
        if (waitMillis > 0) expect(waitAt(atMillis + waitMillis - 1)).toBe(1)
        atMillis += waitMillis
        expect(waitAt(atMillis)).toBe(0)
        state = TokenBucket.take(config, state, atMillis, cost).state
      }
    },
    { fastCheck: { numRuns: 500 } }
  )

  it("refills nothing while a clock runs backwards", () => {
    const config = { limit: 1, intervalMillis: 1_000, burst: 1 }
    const { state } = TokenBucket.take(config, TokenBucket.full, 5_000, 1)
    const back = TokenBucket.take(config, state, 1_000, 1)
    expect(back).toEqual({ state, waitMillis: 1_000 })
    expect(TokenBucket.take(config, back.state, 6_000, 1).waitMillis).toBe(0)
  })
})
