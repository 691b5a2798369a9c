/**
 * An entry codec turns the values of one collection into stored text and back.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Encoded from "./Encoded.ts"

/** Is a value that does not match the collection's schema: a bug of the handler that put it there. */
export class EntryInvalid extends Schema.TaggedError<EntryInvalid>()("EntryInvalid", {
  collection: Schema.String,
  issue: Schema.String
}) {
  override get message(): string {
    return `what was to be put into ${this.collection} does not match its schema: ${this.issue}`
  }
}

/**
 * Says that a stored entry cannot be read. `text` is what is stored, and stays stored.
 *
 * It is a defect of the message that reads it: the agent restarts, and is parked when it meets the entry again and again,
 * as it is for a state that cannot be read. Remedy: mend the schema, so that it reads `text`, then resume the agent.
 */
export class EntryUndecodable extends Schema.TaggedError<EntryUndecodable>()("EntryUndecodable", {
  collection: Schema.String,
  key: Schema.String,
  text: Schema.String,
  issue: Schema.String
}) {
  override get message(): string {
    return `entry ${JSON.stringify(this.key)} of ${this.collection} cannot be read: ${this.issue}`
  }
}

/** Encodes and decodes the values of one collection; compiled once. */
export interface EntryCodec<in out V> {
  /** Encodes a value: at most 1 MiB of JSON. */
  readonly encode: (value: V) => Either.Either<string, EntryInvalid | Encoded.PayloadTooLarge>
  readonly decode: (key: string, text: string) => Either.Either<V, EntryUndecodable>
}

/** Compiles the codec of a collection's values. */
export const make = <V, VI>(collection: string, schema: Schema.Schema<V, VI>): EntryCodec<V> => {
  const json = Schema.parseJson(schema)
  const encode = Schema.encodeEither(json)
  const decode = Schema.decodeEither(json)
  return {
    encode: (value) =>
      Either.flatMap(
        Either.mapLeft(encode(value), ({ message }) => new EntryInvalid({ collection, issue: message })),
        (text) => sized(collection, text)
      ),
    decode: (key, text) =>
      Either.mapLeft(
        decode(text),
        ({ message }) => new EntryUndecodable({ collection, key, text, issue: message })
      )
  }
}

/** The text, where it has at most 1 MiB. */
export const sized = (collection: string, text: string): Either.Either<string, Encoded.PayloadTooLarge> => {
  const { bytesMaxDefault: bytesMax } = Encoded
  // A UTF-16 unit has at most three bytes: short texts need no count.
  const bytes = text.length * 3 <= bytesMax ? 0 : Encoded.byteLength(text)
  return bytes <= bytesMax
    ? Either.right(text)
    : Either.left(new Encoded.PayloadTooLarge({ what: `entry of ${collection}`, bytes, bytesMax }))
}
