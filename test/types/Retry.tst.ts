import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import { describe, expect, test } from "tstyche"
import * as Retry from "../../packages/core/src/Retry.ts"

class Unreachable extends Data.TaggedError("Unreachable")<{ readonly host: string }> {}
class Refused extends Data.TaggedError("Refused")<{ readonly code: number }> {}

declare const charge: Effect.Effect<string, Unreachable | Refused, "service">
declare const total: Effect.Effect<string>
declare const untagged: Effect.Effect<string, Error>

describe("Retry.retry", () => {
  test("keeps success, errors and requirements, in both forms", () => {
    expect(charge.pipe(Retry.retry({ on: ["Unreachable"] }))).type.toBe<typeof charge>()
    expect(Retry.retry(charge, { on: ["Unreachable", "Refused"] })).type.toBe<typeof charge>()
  })

  test("refuses a tag that is not in the error", () => {
    expect(Retry.retry<Unreachable | Refused>).type.not.toBeCallableWith({ on: ["Unreachabel"] })
    expect(Retry.retry).type.not.toBeCallableWith(charge, { on: ["Unreachabel"] })
    expect(Retry.retry).type.not.toBeCallableWith(charge, { on: [] })
  })

  test("refuses an effect without a tagged error", () => {
    expect(Retry.retry).type.not.toBeCallableWith(total, { on: ["Unreachable"] })
    expect(Retry.retry).type.not.toBeCallableWith(untagged, { on: ["Error"] })
  })
})
