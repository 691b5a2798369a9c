/**
 * A protocol codec turns the messages of one definition, and what they are answered with, into stored text and back.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as PrimaryKey from "effect/PrimaryKey"
import * as Schema from "effect/Schema"
import { type AgentAddress, render } from "./AgentAddress.ts"
import { InvalidPayload, UnknownMessage } from "./AgentError.ts"
import * as Encoded from "./Encoded.ts"

/** How a value does not become stored text. */
export type EncodeError = InvalidPayload | Encoded.PayloadTooLarge

/** Is an outcome of a message that is stored: `Right` of its success, `Left` of its typed failure. */
export type Outcome<C> = Either.Either<Rpc.Success<C>, Rpc.Error<C>>

/** Encodes and decodes one message. Each address is the agent's, for the errors. */
export interface MessageCodec<in out C> {
  /** Makes a payload of what its sender gives: defaults are filled in, the schema is checked. */
  readonly construct: (
    address: AgentAddress,
    input: Rpc.PayloadConstructor<C>
  ) => Effect.Effect<Rpc.Payload<C>, InvalidPayload>
  /** Says by what a message is known to be the same as an earlier one: its tag and the Rpc's `primaryKey`, if it has one. */
  readonly key: (payload: Rpc.Payload<C>) => Option.Option<string>
  readonly encodePayload: (
    address: AgentAddress,
    payload: Rpc.Payload<C>
  ) => Effect.Effect<string, EncodeError, Rpc.Context<C>>
  readonly decodePayload: (
    address: AgentAddress,
    text: string
  ) => Effect.Effect<Rpc.Payload<C>, InvalidPayload, Rpc.Context<C>>
  /** Encodes `{"success": ...}` or `{"failure": ...}`. */
  readonly encodeOutcome: (
    address: AgentAddress,
    outcome: Outcome<C>
  ) => Effect.Effect<string, EncodeError, Rpc.Context<C>>
  readonly decodeOutcome: (
    address: AgentAddress,
    text: string
  ) => Effect.Effect<Outcome<C>, InvalidPayload, Rpc.Context<C>>
}

/** Holds the codec of each message, by its tag. */
export interface ProtocolCodec<R extends Rpc.Any> {
  readonly tags: ReadonlyArray<R["_tag"]>
  readonly messages: { readonly [C in R as C["_tag"]]: MessageCodec<C> }
  /** Looks up the codec of a tag that comes from data. */
  readonly message: (
    address: AgentAddress,
    tag: string
  ) => Either.Either<ProtocolCodec<R>["messages"][R["_tag"]], UnknownMessage>
}

/**
 * Compiles the codecs of a protocol. What they encode has at most `bytesMax` bytes, 1 MiB by default.
 *
 * A value is stored as JSON text. The absence of one (`undefined`) is stored as `null`, and a schema that takes both
 * reads `null` back.
 */
export const make = <R extends Rpc.Any>(
  protocol: ReadonlyArray<R>,
  bytesMax: number = Encoded.bytesMaxDefault
): ProtocolCodec<R> => {
  type Messages = ProtocolCodec<R>["messages"]
  const messages = new Map<string, unknown>(protocol.map((rpc) => [rpc._tag, messageCodec(rpc, bytesMax)]))
  const tags = protocol.map(({ _tag }) => _tag)
  return {
    tags,
    messages: Object.fromEntries(messages) as Messages,
    message: (address, rpc) =>
      Either.fromNullable(
        messages.get(rpc) as Messages[R["_tag"]] | undefined,
        () => new UnknownMessage({ address, rpc, known: tags })
      )
  }
}

/** Gives the codec of one message, with the limit of {@link make}; compiled once. */
export const ofMessage = <C extends Rpc.Any>(rpc: C): MessageCodec<C> => {
  const cached = messageCodecs.get(rpc)
  if (cached !== undefined) return cached as MessageCodec<C>
  const codec = messageCodec(rpc, Encoded.bytesMaxDefault)
  messageCodecs.set(rpc, codec)
  return codec
}

// internal

/** Entries go with their messages. */
const messageCodecs = new WeakMap<object, unknown>()

type Part = InvalidPayload["part"]

/** Is the codec of a schema: values to and from what JSON can hold. */
interface ValueCodec {
  readonly encode: (value: unknown) => Effect.Effect<unknown, ParseResult.ParseError, never>
  readonly decode: (json: unknown) => Effect.Effect<unknown, ParseResult.ParseError, never>
}

const messageCodec = <C extends Rpc.Any>(anyRpc: C, bytesMax: number): MessageCodec<C> => {
  const rpc = anyRpc as C & Rpc.AnyWithProps
  const payload = valueCodec(rpc.payloadSchema)
  const success = valueCodec(rpc.successSchema)
  const error = valueCodec(rpc.errorSchema)
  // Without a slash of its own, so that no tag and key are read as others.
  const tag = encodeURIComponent(rpc._tag)
  const invalid = (address: AgentAddress, part: Part) => ({ message }: ParseResult.ParseError) =>
    new InvalidPayload({ address, rpc: rpc._tag, part, issue: message })
  const checked = (address: AgentAddress, part: Part, text: string) =>
    Effect.as(Encoded.checkSize(`${part} of ${rpc._tag} of agent ${render(address)}`, text, bytesMax), text)
  const encodePart = (address: AgentAddress, part: Part, codec: ValueCodec, value: unknown) =>
    Effect.map(Effect.mapError(codec.encode(value), invalid(address, part)), toText)
  const decodePart = (address: AgentAddress, part: Part, codec: ValueCodec, json: unknown) =>
    Effect.mapError(codec.decode(json), invalid(address, part))
  const erased: ErasedCodec = {
    construct: (address, input) => construct(rpc, input, invalid(address, "payload")),
    key: (payload) => Option.map(primaryKey(payload), (key) => `${tag}/${key}`),
    encodePayload: (address, value) =>
      Effect.flatMap(
        encodePart(address, "payload", payload, value),
        (text) => checked(address, "payload", text)
      ),
    decodePayload: (address, text) =>
      Effect.flatMap(
        Effect.mapError(fromText(text), invalid(address, "payload")),
        (json) => decodePart(address, "payload", payload, json)
      ),
    encodeOutcome: (address, outcome) => {
      const [part, codec, value] = Either.isRight(outcome)
        ? ["success", success, outcome.right] as const
        : ["failure", error, outcome.left] as const
      return Effect.flatMap(
        encodePart(address, part, codec, value),
        (text) => checked(address, part, `{"${part}":${text}}`)
      )
    },
    decodeOutcome: (address, text) =>
      Effect.flatMap(
        Effect.mapError(parseOutcome(text), invalid(address, "success")),
        (stored): Effect.Effect<Either.Either<unknown, unknown>, InvalidPayload> =>
          "success" in stored
            ? Effect.map(decodePart(address, "success", success, stored["success"]), Either.right)
            : Effect.map(decodePart(address, "failure", error, stored["failure"]), Either.left)
      )
  }
  return erased as MessageCodec<C>
}

/** Is a message codec whose types are not known: the schemas' own context is required all the same. */
interface ErasedCodec {
  readonly construct: (address: AgentAddress, input: unknown) => Effect.Effect<unknown, InvalidPayload>
  readonly key: (payload: unknown) => Option.Option<string>
  readonly encodePayload: (address: AgentAddress, payload: unknown) => Effect.Effect<string, EncodeError>
  readonly decodePayload: (address: AgentAddress, text: string) => Effect.Effect<unknown, InvalidPayload>
  readonly encodeOutcome: (
    address: AgentAddress,
    outcome: Either.Either<unknown, unknown>
  ) => Effect.Effect<string, EncodeError>
  readonly decodeOutcome: (
    address: AgentAddress,
    text: string
  ) => Effect.Effect<Either.Either<unknown, unknown>, InvalidPayload>
}

/** Two messages that share a schema share its codec. Entries go with their schemas. */
const valueCodecs = new WeakMap<object, ValueCodec>()

const valueCodec = (schema: Rpc.AnySchema | Schema.Schema.All): ValueCodec => {
  const cached = valueCodecs.get(schema)
  if (cached !== undefined) return cached
  const typed = schema as unknown as Schema.Schema<unknown, unknown>
  const takes = Schema.is(Schema.encodedSchema(typed))
  const decode = Schema.decodeUnknown(typed)
  const absent = !takes(null) && takes(undefined) ? undefined : null
  const codec: ValueCodec = {
    encode: Schema.encodeUnknown(typed),
    decode: (json) => decode(json === null ? absent : json)
  }
  valueCodecs.set(schema, codec)
  return codec
}

const toText = (json: unknown): string => JSON.stringify(json) ?? "null"

const fromText = Schema.decode(Schema.parseJson())

const StoredOutcome = Schema.Record({ key: Schema.String, value: Schema.Unknown }).pipe(
  Schema.filter((stored) => {
    const [part, ...more] = Object.keys(stored)
    return more.length === 0 && (part === "success" || part === "failure")
  }, { message: () => "Expected an object of either success or failure" })
)

const parseOutcome = Schema.decode(Schema.parseJson(StoredOutcome))

/** Throws nothing but what the schema's own defaults throw. */
const construct = (
  rpc: Rpc.AnyWithProps,
  input: unknown,
  invalid: (error: ParseResult.ParseError) => InvalidPayload
): Effect.Effect<unknown, InvalidPayload> => {
  if (rpc.payloadSchema.make === undefined) {
    return Effect.mapError(Schema.validate(rpc.payloadSchema as Schema.Schema.AnyNoContext)(input), invalid)
  }
  try {
    return Effect.succeed(rpc.payloadSchema.make(input))
  } catch (thrown) {
    return ParseResult.isParseError(thrown) ? Effect.fail(invalid(thrown)) : Effect.die(thrown)
  }
}

const primaryKey = (payload: unknown): Option.Option<string> =>
  Predicate.hasProperty(payload, PrimaryKey.symbol)
    ? Option.some(PrimaryKey.value(payload as PrimaryKey.PrimaryKey))
    : Option.none()
