/**
 * An agent state codec turns the state of one definition into stored text, and text of any version back into state.
 */
import * as Either from "effect/Either"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { type AgentAddress, AgentAddress as address, render } from "./AgentAddress.ts"
import * as Encoded from "./Encoded.ts"

/** Reads states of one older version, and makes of each a state of the next. Made by {@link migration}. */
export interface Migration<V, VI, out Next> {
  readonly from: number
  readonly schema: Schema.Schema<V, VI>
  readonly migrate: (state: V) => Next
}

/** Is any migration. */
export interface AnyMigration {
  readonly from: number
  readonly schema: Schema.Schema.AnyNoContext
  readonly migrate: (state: never) => unknown
}

/** Is what migrations must be: each yields what the next takes, the last a state `S`. Names what does not. */
export type Chained<M extends ReadonlyArray<unknown>, S> = M extends readonly [infer First, ...infer Rest]
  ? readonly [Link<First, TakenBy<Rest, S>>, ...Chained<Rest, S>]
  : M extends readonly [] ? readonly []
  : ReadonlyArray<{ readonly "migrations must be a tuple, written in place": never }>

/** Is a state that does not match the definition's own schema: a bug of the handler that set it. */
export class StateInvalid extends Schema.TaggedError<StateInvalid>()("StateInvalid", {
  address,
  version: Schema.Number,
  issue: Schema.String
}) {
  override get message(): string {
    return `the state of agent ${render(this.address)} does not match its schema: ${this.issue}`
  }
}

/**
 * Says that a stored state cannot be read. `text` are its bytes, as stored. The agent is parked, never started anew.
 *
 * Remedy: add or mend the migration from `version`, then resume the agent.
 */
export class StateUndecodable extends Schema.TaggedError<StateUndecodable>()("StateUndecodable", {
  address,
  version: Schema.Number,
  text: Schema.String,
  issue: Schema.String
}) {
  override get message(): string {
    return `the stored state of agent ${
      render(this.address)
    } (version ${this.version}) cannot be read: ${this.issue}`
  }
}

/** Says that a newer program wrote the state. Remedy: run the program that knows version `version`. */
export class StateTooNew extends Schema.TaggedError<StateTooNew>()("StateTooNew", {
  address,
  version: Schema.Number,
  versionMax: Schema.Number
}) {
  override get message(): string {
    return `the stored state of agent ${render(this.address)} has version ${this.version}; ` +
      `this program knows up to ${this.versionMax}`
  }
}

/** Encodes and decodes the states of one definition; compiled once. */
export interface StateCodec<in out S> {
  /** The version that `encode` writes. */
  readonly version: number
  /** The oldest version that `decode` reads. */
  readonly versionMin: number
  /** Encodes a state: at most `bytesMax` bytes of JSON, 1 MiB by default. */
  readonly encode: (
    address: AgentAddress,
    state: S
  ) => Either.Either<string, StateInvalid | Encoded.PayloadTooLarge>
  /** Decodes a state of any version from `versionMin` to `version`, through the migrations after it. */
  readonly decode: (
    address: AgentAddress,
    version: number,
    text: string
  ) => Either.Either<S, StateUndecodable | StateTooNew>
}

/**
 * Makes a migration from states of version `from` to the next. A `migrate` that throws makes the state undecodable.
 *
 * @example
 * import * as AgentState from "@holdfast/agents/AgentState"
 * import * as Schema from "effect/Schema"
 *
 * export const addUnit = AgentState.migration({
 *   from: 1,
 *   schema: Schema.Struct({ degrees: Schema.Number }),
 *   migrate: ({ degrees }) => ({ degrees, unit: "C" })
 * })
 */
export const migration = <V, VI, Next>(options: {
  readonly from: number
  readonly schema: Schema.Schema<V, VI>
  readonly migrate: (state: V) => Next
}): Migration<V, VI, Next> => options

/**
 * Compiles the codec of a state. `version` is 1 by default.
 *
 * Throws on a version that is no positive integer, and on migrations that do not lead, one version at a time, to it.
 */
export const codec = <S, SI, const M extends ReadonlyArray<AnyMigration> = readonly []>(
  schema: Schema.Schema<S, SI>,
  options: {
    readonly version?: number
    readonly migrations?: M & Chained<M, NoInfer<S>>
    readonly bytesMax?: number
  } = {}
): StateCodec<S> => unsafeCodec(schema, options)

/** Compiles as {@link codec} does, the types of the migrations unchecked. */
export const unsafeCodec = <S, SI>(schema: Schema.Schema<S, SI>, options: {
  readonly version?: number
  readonly migrations?: ReadonlyArray<AnyMigration>
  readonly bytesMax?: number
}): StateCodec<S> => {
  const { bytesMax = Encoded.bytesMaxDefault, migrations = [], version = 1 } = options
  checkVersions(version, migrations)
  const versionMin = version - migrations.length
  const encode = Schema.encodeEither(Schema.parseJson(schema))
  const readers = readersOf(schema, migrations)
  return {
    version,
    versionMin,
    encode: (address, state) =>
      Either.flatMap(
        Either.mapLeft(
          encode(state),
          ({ message }) => new StateInvalid({ address, version, issue: message })
        ),
        (text) => checkSize(address, text, bytesMax)
      ),
    decode: (address, stored, text) => {
      if (stored > version) {
        return Either.left(new StateTooNew({ address, version: stored, versionMax: version }))
      }
      const reader = readers[stored - versionMin]
      const state = reader === undefined ? Either.left(`nothing reads version ${stored}`) : reader(text)
      return Either.mapLeft(state, (issue) => new StateUndecodable({ address, version: stored, text, issue }))
    }
  }
}

// internal

type TakenBy<Rest, S> = Rest extends readonly [Migration<infer V, infer _VI, infer _Next>, ...infer _] ? V : S

type Link<M, Taken> = M extends Migration<infer _V, infer _VI, infer Next> ? [Next] extends [Taken] ? M
  : { readonly "a migration must yield what the next version takes": Taken }
  : never

type Read<A> = (text: string) => Either.Either<A, string>

const checkVersions = (version: number, migrations: ReadonlyArray<AnyMigration>): void => {
  if (!Number.isSafeInteger(version) || version < 1) {
    throw new RangeError(`the version of a state must be a positive integer, not ${version}`)
  }
  const wanted = migrations.map((_, index) => version - migrations.length + index)
  const found = migrations.map(({ from }) => from)
  if (wanted.some((from, index) => from < 1 || from !== found[index])) {
    throw new Error(
      `the migrations to version ${version} must be from ${wanted.join(", ")}, not ${found.join(", ")}`
    )
  }
}

/** Makes one reader for each version, oldest first. */
const readersOf = <S, SI>(
  schema: Schema.Schema<S, SI>,
  migrations: ReadonlyArray<AnyMigration>
): ReadonlyArray<Read<S>> => {
  const validate = Schema.validateEither(schema)
  const olds = migrations.map((migration, index): Read<S> => {
    const read = readerOf(migration.schema)
    const later = migrations.slice(index)
    return (text) =>
      Either.flatMap(
        read(text),
        (old) => Either.flatMap(migrate(old, later), (state) => Either.mapLeft(validate(state), messageOf))
      )
  })
  return [...olds, readerOf(schema)]
}

const readerOf = <A, I>(schema: Schema.Schema<A, I>): Read<A> => {
  const decode = Schema.decodeEither(Schema.parseJson(schema))
  return (text) => Either.mapLeft(decode(text), messageOf)
}

const migrate = (old: unknown, migrations: ReadonlyArray<AnyMigration>): Either.Either<unknown, string> =>
  Either.try({
    try: () =>
      migrations.reduce((state, { migrate }) => (migrate as (state: unknown) => unknown)(state), old),
    catch: (thrown) => `a migration threw: ${String(thrown)}`
  })

const messageOf = (error: ParseResult.ParseError): string => error.message

const checkSize = (
  address: AgentAddress,
  text: string,
  bytesMax: number
): Either.Either<string, Encoded.PayloadTooLarge> => {
  const bytes = text.length * 3 <= bytesMax ? 0 : Encoded.byteLength(text)
  return bytes <= bytesMax
    ? Either.right(text)
    : Either.left(new Encoded.PayloadTooLarge({ what: `state of agent ${render(address)}`, bytes, bytesMax }))
}
