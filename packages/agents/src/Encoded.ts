/**
 * Encoded values: what ports and storage see of payloads, results and errors, and the limit on their size.
 */
import * as Effect from "effect/Effect"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

/** How large an encoded payload, state or outcome may be: 1 MiB. */
export const bytesMaxDefault = 1024 * 1024

/** An encoded value is too large to be stored; nothing was written. Remedy: store a reference to it instead. */
export class PayloadTooLarge extends Schema.TaggedError<PayloadTooLarge>()("PayloadTooLarge", {
  what: Schema.String,
  bytes: Schema.Number,
  bytesMax: Schema.Number
}) {
  override get message(): string {
    return `the ${this.what} has ${this.bytes} bytes; the limit is ${this.bytesMax}`
  }
}

/** Turns values of one type into JSON text and back; compiled once, where the definition is made. */
export interface Codec<A> {
  readonly encode: (value: A) => Effect.Effect<string, ParseResult.ParseError>
  readonly decode: (text: string) => Effect.Effect<A, ParseResult.ParseError>
}

/** Compiles a schema's codec. */
export const codec = <A, I>(schema: Schema.Schema<A, I>): Codec<A> => {
  const json = Schema.parseJson(schema)
  return { encode: Schema.encode(json), decode: Schema.decode(json) }
}

/** The absence of a value, stored as `null`. */
export const Nothing: Schema.Schema<void, null> = Schema.transform(Schema.Null, Schema.Void, {
  strict: true,
  decode: () => undefined,
  encode: () => null
})

/** The length of a text in UTF-8 bytes. */
export const byteLength = (text: string): number => {
  let bytes = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    bytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3
    // A pair of surrogates has four bytes, a single one the three of the replacement character.
    if (isHigh(unit) && isLow(text.charCodeAt(i + 1))) {
      bytes += 1
      i += 1
    }
  }
  return bytes
}

const isHigh = (unit: number) => unit >= 0xd800 && unit < 0xdc00

const isLow = (unit: number) => unit >= 0xdc00 && unit < 0xe000

/** Fails with `PayloadTooLarge` when the text has more than `bytesMax` bytes. */
export const checkSize = (
  what: string,
  text: string,
  bytesMax: number = bytesMaxDefault
): Effect.Effect<void, PayloadTooLarge> => {
  // A UTF-16 unit has at most three bytes: short texts need no count.
  if (text.length * 3 <= bytesMax) return Effect.void
  const bytes = byteLength(text)
  return bytes <= bytesMax ? Effect.void : Effect.fail(new PayloadTooLarge({ what, bytes, bytesMax }))
}
