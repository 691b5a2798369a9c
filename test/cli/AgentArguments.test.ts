import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Address from "../../packages/cli/src/agents/Address.ts"
import * as Payload from "../../packages/cli/src/agents/Payload.ts"

describe("an agent on the command line", () => {
  it.effect("has all behind the first slash as its id", () =>
    Effect.gen(function*() {
      expect(yield* Address.parse("Counter/c-1")).toEqual({ type: "Counter", id: "c-1" })
      expect(yield* Address.parse("Counter/a/b")).toEqual({ type: "Counter", id: "a/b" })
    }))

  it.effect("is refused without a type or an id, with exit code 2", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.forEach(
        ["", "Counter", "Counter/", "/c-1"],
        (text) => Effect.flip(Address.parse(text))
      )
      expect(refused.map(({ exitCode }) => exitCode)).toEqual([2, 2, 2, 2])
    }))
})

describe("a payload on the command line", () => {
  it("is kept to the letter where it is JSON (law)", () => {
    FastCheck.assert(FastCheck.property(FastCheck.json(), (text) => {
      expect(Payload.check(` ${text}\n`)).toEqual(Either.right(text))
    }))
    expect(Payload.check("12345678901234567890")).toEqual(Either.right("12345678901234567890"))
  })

  it("says where it is no JSON", () => {
    expect(Either.getOrThrow(Either.flip(Payload.check("{by:2}")))).toContain("the payload is no JSON: ")
    expect(Either.isLeft(Payload.check(""))).toBe(true)
  })
})

describe("a delay on the command line", () => {
  it.effect("has a whole number and a unit", () =>
    Effect.gen(function*() {
      const texts = ["500ms", "10s", "5m", "2h", "1d", "0s"]
      expect(yield* Effect.forEach(texts, Payload.delayMillis)).toEqual([
        500,
        10_000,
        300_000,
        7_200_000,
        86_400_000,
        0
      ])
      const wrong = ["", "10", "1.5s", "-1s", "s", "10 s", "9999999999s"]
      const refused = yield* Effect.forEach(wrong, (text) => Effect.flip(Payload.delayMillis(text)))
      expect(refused.map(({ exitCode }) => exitCode)).toEqual(wrong.map(() => 2))
    }))
})
