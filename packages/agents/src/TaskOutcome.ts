/**
 * A task outcome is what came of an attempt, in the form in which it is stored.
 */
import * as Effect from "effect/Effect"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { Codec } from "./Encoded.ts"

/** Success or typed failure (encoded by the queue's schemas), a defect, or an attempt lost with its node. */
export const TaskOutcome = Schema.parseJson(Schema.Union(
  Schema.TaggedStruct("Success", { value: Schema.String }),
  Schema.TaggedStruct("Failure", { error: Schema.String }),
  Schema.TaggedStruct("Defect", { detail: Schema.String }),
  Schema.TaggedStruct("Lost", { node: Schema.String })
))

/** The outcome as stored: values and errors are JSON text. */
export type Encoded = typeof TaskOutcome.Type

/** The outcome with the queue's own types. */
export type Decoded<A, E> =
  | { readonly _tag: "Success"; readonly value: A }
  | { readonly _tag: "Failure"; readonly error: E }
  | { readonly _tag: "Defect"; readonly detail: string }
  | { readonly _tag: "Lost"; readonly node: string }

/** The stored form. */
export const encode = (outcome: Encoded): string => JSON.stringify(outcome)

const decodeStored = Schema.decode(TaskOutcome)

/** Reads a stored outcome with the codecs of its queue. */
export const decode = <A, E>(
  codecs: { readonly success: Codec<A>; readonly error: Codec<E> },
  text: string
): Effect.Effect<Decoded<A, E>, ParseResult.ParseError> =>
  Effect.flatMap(decodeStored(text), (outcome): Effect.Effect<Decoded<A, E>, ParseResult.ParseError> => {
    switch (outcome._tag) {
      case "Success":
        return Effect.map(codecs.success.decode(outcome.value), (value) => ({ _tag: "Success", value }))
      case "Failure":
        return Effect.map(codecs.error.decode(outcome.error), (error) => ({ _tag: "Failure", error }))
      case "Defect":
      case "Lost":
        return Effect.succeed(outcome)
    }
  })
