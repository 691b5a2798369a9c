import type * as Effect from "effect/Effect"
import { describe, expect, test } from "tstyche"
import type * as RateLimiter from "../../packages/core/src/RateLimiter.ts"

declare const limiter: RateLimiter.RateLimiter

describe("RateLimiter", () => {
  test("has an error for a cost only where a cost is given", () => {
    expect(limiter.wait()).type.toBe<Effect.Effect<void>>()
    expect(limiter.wait(2)).type.toBe<Effect.Effect<void, RateLimiter.CostOutOfRange>>()
    expect(limiter.reject()).type.toBe<Effect.Effect<void, RateLimiter.RateLimited>>()
    expect(limiter.reject(2)).type.toBe<
      Effect.Effect<void, RateLimiter.RateLimited | RateLimiter.CostOutOfRange>
    >()
  })
})
