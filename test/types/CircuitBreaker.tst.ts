import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { describe, expect, test } from "tstyche"
import * as CircuitBreaker from "../../packages/core/src/CircuitBreaker.ts"

class Unreachable extends Data.TaggedError("Unreachable")<{ readonly host: string }> {}
class NoSuchUser extends Data.TaggedError("NoSuchUser")<{ readonly id: string }> {}

declare const lookUp: Effect.Effect<{ readonly exitCode: number }, Unreachable | NoSuchUser, "service">
declare const total: Effect.Effect<number>
declare const breaker: CircuitBreaker.CircuitBreaker

describe("CircuitBreaker.protect", () => {
  test("adds CircuitOpen to the errors, in every form", () => {
    type Protected = Effect.Effect<
      { readonly exitCode: number },
      Unreachable | NoSuchUser | CircuitBreaker.CircuitOpen,
      "service"
    >
    expect(lookUp.pipe(CircuitBreaker.protect(breaker))).type.toBe<Protected>()
    expect(CircuitBreaker.protect(lookUp, breaker)).type.toBe<Protected>()
    expect(lookUp.pipe(CircuitBreaker.protect(breaker, { errors: { NoSuchUser: "success" } }))).type.toBe<
      Protected
    >()
    expect(total.pipe(CircuitBreaker.protect(breaker))).type.toBe<
      Effect.Effect<number, CircuitBreaker.CircuitOpen>
    >()
  })

  test("knows the value that the classifier is given", () => {
    const classified = lookUp.pipe(
      CircuitBreaker.protect(breaker, {
        success: (value) => {
          expect(value).type.toBe<{ readonly exitCode: number }>()
          return "success"
        }
      })
    )
    expect(classified).type.toBeAssignableTo<
      Effect.Effect<{ readonly exitCode: number }, unknown, "service">
    >()
  })

  test("refuses a tag that is not in the error, and an outcome that is none", () => {
    expect(CircuitBreaker.protect).type.not.toBeCallableWith(lookUp, breaker, {
      errors: { NoSuchUzer: "success" }
    })
    expect(CircuitBreaker.protect).type.not.toBeCallableWith(lookUp, breaker, {
      errors: { NoSuchUser: "fine" }
    })
    expect(CircuitBreaker.protect).type.not.toBeCallableWith(total, breaker, {
      errors: { NoSuchUser: "success" }
    })
  })
})

describe("CircuitBreaker.protectWhenReady", () => {
  test("adds no error", () => {
    expect(lookUp.pipe(CircuitBreaker.protectWhenReady(breaker))).type.toBe<typeof lookUp>()
    expect(CircuitBreaker.protectWhenReady(lookUp, breaker, { success: () => "ignore" })).type.toBe<
      typeof lookUp
    >()
    expect(Effect.void.pipe(CircuitBreaker.protectWhenReady(breaker))).type.toBe<Effect.Effect<void>>()
  })
})
