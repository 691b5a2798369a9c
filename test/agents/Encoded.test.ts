import { describe, expect, it } from "@effect/vitest"
import * as Encoded from "@holdfast/agents/Encoded"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import { Buffer } from "node:buffer"

describe("Encoded", () => {
  it.prop(
    "law: the length of any text, also one with single surrogates, is that of its UTF-8 encoding",
    { text: FastCheck.oneof(FastCheck.string16bits(), FastCheck.fullUnicodeString()) },
    ({ text }) => {
      expect(Encoded.byteLength(text)).toBe(Buffer.byteLength(text, "utf8"))
    },
    { fastCheck: { numRuns: 500 } }
  )

  it.effect.prop(
    "law: a text is refused from the first byte past the limit, whichever characters it is made of",
    {
      character: FastCheck.constantFrom("a", "é", "€", "😀"),
      bytesMax: FastCheck.integer({ min: 0, max: 40 }),
      count: FastCheck.nat(20)
    },
    ({ bytesMax, character, count }) =>
      Effect.gen(function*() {
        const text = character.repeat(count)
        const bytes = Buffer.byteLength(text)
        const refused = yield* Effect.flip(Encoded.checkSize("thing", text, bytesMax)).pipe(Effect.option)
        expect(refused._tag).toBe(bytes > bytesMax ? "Some" : "None")
        if (refused._tag === "Some") expect(refused.value).toMatchObject({ what: "thing", bytes, bytesMax })
      })
  )

  it.effect("allows 1 MiB and not a byte more unless told otherwise", () =>
    Effect.gen(function*() {
      yield* Encoded.checkSize("payload", "x".repeat(1024 * 1024))
      const refused = yield* Effect.flip(Encoded.checkSize("payload", "x".repeat(1024 * 1024 + 1)))
      expect(refused.message).toBe("the payload has 1048577 bytes; the limit is 1048576")
    }))

  it.effect.prop(
    "law: a codec brings any value back, as JSON text between",
    { value: Schema.Struct({ at: Schema.Date, of: Schema.Array(Schema.NullOr(Schema.String)) }) },
    ({ value }) =>
      Effect.gen(function*() {
        const codec = Encoded.codec(
          Schema.Struct({ at: Schema.Date, of: Schema.Array(Schema.NullOr(Schema.String)) })
        )
        const text = yield* codec.encode(value)
        JSON.parse(text)
        expect(yield* codec.decode(text)).toEqual(value)
      })
  )

  it.effect("stores the absence of a value as null", () =>
    Effect.gen(function*() {
      const codec = Encoded.codec(Encoded.Nothing)
      expect(yield* codec.encode(undefined)).toBe("null")
      expect(yield* codec.decode("null")).toBeUndefined()
    }))
})
