/**
 * An agent definition is a protocol of messages, a state that outlives crashes, and a policy: a plain value.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import type { Backoff } from "@holdfast/core/Backoff"
import * as RestartIntensity from "@holdfast/core/RestartIntensity"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import * as AgentAddress from "./AgentAddress.ts"
import type { AgentError } from "./AgentError.ts"
import type { Handle } from "./AgentHandle.ts"
import type { Client, Plain, Protocol, Teller } from "./AgentProtocol.ts"
import { AgentRuntime } from "./AgentRuntimeTag.ts"
import * as AgentState from "./AgentState.ts"
import * as ProtocolCodec from "./ProtocolCodec.ts"

/** How many messages a mailbox holds, unless its definition says otherwise. */
export const mailboxCapacityDefault = 1_000

/** How long an ask waits for its answer, unless its definition says otherwise: 30 seconds. */
export const askTimeoutDefault: Duration.Duration = Duration.seconds(30)

/** How long an agent is kept in memory without a message. **Source** `@effect/cluster`, `entityMaxIdleTime`. */
export const passivateAfterDefault: Duration.Duration = Duration.minutes(1)

/**
 * When a reply may go: after the commit; at once, the commit within a bound; at once, nothing written.
 *
 * **Source** `durability.md`, rule 16.
 */
export type Durability = "commit" | "relaxed" | "none"

/** Bounds a mailbox, and says what becomes of the message past the bound: its sender waits, or `MailboxFull`. */
export interface Mailbox {
  readonly capacity: number
  readonly overflow: "backpressure" | "reject"
}

/** A definition. Made by {@link make}; nothing runs and nothing is stored until its layer is built. */
export interface Agent<out N extends string, in out R extends Rpc.Any, in out S> extends Protocol<R> {
  readonly _tag: "Agent"
  readonly name: N
  /** The codecs of its messages. */
  readonly codec: ProtocolCodec.ProtocolCodec<R>
  /** The codec of its state. */
  readonly state: AgentState.StateCodec<S>
  /** The state of an agent that has none stored. */
  readonly initial: (id: string) => S
  /** What it offers, for those who look an agent up by it. */
  readonly capabilities: ReadonlyArray<string>
  readonly durability: Durability
  readonly mailbox: Mailbox
  readonly askTimeout: Duration.Duration
  readonly passivateAfter: Duration.Duration
  /** How often one agent may crash before it is parked. */
  readonly supervision: RestartIntensity.ChildIntensity
  /**
   * Handles its messages, while the layer lives, in whichever runtime is provided.
   *
   * Handlers made by an effect, or anywhere but in place, get their types by {@link of}.
   */
  readonly toLayer: <H extends Handlers<R, S>, EX = never, RX = never>(
    handlers: (H & NoExtra<H, R["_tag"]>) | Effect.Effect<H, EX, RX>
  ) => Layer.Layer<never, EX, AgentRuntime | RX | HandlersContext<H> | Rpc.Context<R>>
  /** Makes what asks its agents, by their ids. */
  readonly client: Effect.Effect<(id: string) => Client<R>, never, AgentRuntime>
  /** Makes what tells its agents, by their ids, outside of handlers: it succeeds when the message is durable. */
  readonly teller: Effect.Effect<(id: string) => Teller<R, AgentError>, never, AgentRuntime>
}

/** Is the state of a definition's agents. */
export type State<A> = A extends Agent<infer _N, infer _R, infer S> ? S : never

/** Holds a handler for each message. It may fail as its Rpc does, or with what an ask inside it fails with. */
export type Handlers<R extends Rpc.Any, S, RX = unknown> = {
  readonly [C in R as C["_tag"]]: (
    payload: Rpc.Payload<C>,
    agent: Handle<S>
  ) => Effect.Effect<Rpc.Success<C>, Rpc.Error<C> | AgentError, RX>
}

/** Picks what handlers need. */
export type HandlersContext<H> = ContextOf<H[keyof H]>

/** Refuses handlers of messages that the protocol does not have. */
export type NoExtra<H, Tags extends PropertyKey> = { readonly [Extra in Exclude<keyof H, Tags>]: never }

/** Are the options of {@link make}. */
export interface Policy {
  readonly capabilities?: ReadonlyArray<string>
  readonly durability?: Durability
  readonly mailbox?: Partial<Mailbox>
  readonly askTimeout?: Duration.DurationInput
  readonly passivateAfter?: Duration.DurationInput
  readonly supervision?: {
    readonly maxRestarts: number
    readonly period: Duration.DurationInput
    readonly backoff?: Backoff
  }
}

/**
 * Defines an agent. Its name has no slash.
 *
 * - `protocol`: its messages. Streaming Rpcs and middleware are refused. A `primaryKey` makes a message's effect
 *   happen once.
 * - `state`, `initial`: the schema of its state, and the first state, which may depend on the agent's id.
 * - `version`, `migrations`: 1 by default; see `AgentState.migration`. Each yields what the next takes.
 * - `durability`: `commit` by default.
 * - `mailbox`: 1,000 messages by default, then the sender waits.
 * - `askTimeout`: 30 seconds by default. `passivateAfter`: 1 minute by default, `infinity` for never.
 * - `supervision`: 3 restarts in 5 seconds by default, then the agent is parked.
 *
 * Throws on a name, version, capacity or duration outside these bounds, and on two messages of one tag.
 *
 * @example
 * import * as Rpc from "@effect/rpc/Rpc"
 * import * as Agent from "@holdfast/agents/Agent"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * const Counter = Agent.make("Counter", {
 *   protocol: [Rpc.make("Increment", { payload: { by: Schema.Int }, success: Schema.Int })],
 *   state: Schema.Struct({ count: Schema.Int }),
 *   initial: { count: 0 }
 * })
 *
 * export const CounterLayer = Counter.toLayer({
 *   Increment: ({ by }, agent) =>
 *     agent.update(({ count }) => ({ count: count + by })).pipe(
 *       Effect.zipRight(agent.get),
 *       Effect.map(({ count }) => count)
 *     )
 * })
 */
export const make = <
  const N extends string,
  const Rpcs extends ReadonlyArray<Rpc.Any>,
  S,
  SI,
  const M extends ReadonlyArray<AgentState.AnyMigration> = readonly []
>(
  name: N,
  options: Policy & {
    readonly protocol: Rpcs & { readonly [K in keyof Rpcs]: Plain<Rpcs[K]> }
    readonly state: Schema.Schema<S, SI>
    readonly initial: NoInfer<S> | ((id: string) => NoInfer<S>)
    readonly version?: number
    readonly migrations?: M & AgentState.Chained<M, NoInfer<S>>
  }
): Agent<N, Rpcs[number], S> => {
  const { initial, migrations, protocol, state, version } = options
  checkNames(name, protocol)
  const definition: Omit<Agent<N, Rpcs[number], S>, "toLayer" | "client" | "teller"> = {
    _tag: "Agent",
    name,
    protocol,
    codec: ProtocolCodec.make<Rpcs[number]>(protocol),
    state: AgentState.unsafeCodec(state, {
      ...(version === undefined ? {} : { version }),
      ...(migrations === undefined ? {} : { migrations })
    }),
    initial: isFunction(initial) ? initial : () => initial,
    ...policy(name, options)
  }
  const self: Agent<N, Rpcs[number], S> = {
    ...definition,
    toLayer: (handlers) => toLayer(self, handlers),
    client: Effect.map(AgentRuntime, (runtime) => (id) => clientOf(runtime, self, id)),
    teller: Effect.map(AgentRuntime, (runtime) => (id) => tellerOf(runtime, self, id))
  }
  return self
}

/** Gives handlers that are written apart from `toLayer` their types. */
export const of = <N extends string, R extends Rpc.Any, S, H extends Handlers<R, S>>(
  _definition: Agent<N, R, S>,
  handlers: H & NoExtra<H, R["_tag"]>
): H => handlers

// internal

type ContextOf<F> = F extends (...args: never) => Effect.Effect<infer _A, infer _E, infer RX> ? RX : never

const isFunction = <S>(initial: S | ((id: string) => S)): initial is (id: string) => S =>
  typeof initial === "function"

const checkNames = (name: string, protocol: ReadonlyArray<Rpc.Any>): void => {
  if (name === "" || name.includes("/")) {
    throw new Error(`the name of an agent must have a letter and no slash, not "${name}"`)
  }
  const tags = protocol.map(({ _tag }) => _tag)
  const twice = tags.find((tag, index) => tags.indexOf(tag) !== index)
  if (twice !== undefined) throw new Error(`agent "${name}" has two messages "${twice}"`)
}

const policy = (name: string, options: Policy) => {
  const { capacity = mailboxCapacityDefault, overflow = "backpressure" } = options.mailbox ?? {}
  if (!Number.isSafeInteger(capacity) || capacity < 1) {
    throw new RangeError(
      `the mailbox capacity of agent "${name}" must be a positive integer, not ${capacity}`
    )
  }
  const { maxRestarts, period, ...backoff } = options.supervision ?? {
    maxRestarts: RestartIntensity.defaultMaxRestarts,
    period: RestartIntensity.defaultPeriod
  }
  return {
    capabilities: options.capabilities ?? [],
    durability: options.durability ?? "commit",
    mailbox: { capacity, overflow },
    askTimeout: positive(name, "askTimeout", options.askTimeout ?? askTimeoutDefault),
    passivateAfter: positive(name, "passivateAfter", options.passivateAfter ?? passivateAfterDefault),
    supervision: RestartIntensity.unsafeMakeChild({ maxRestarts, period, ...backoff, exceeded: "park" })
  } satisfies Partial<Agent<string, never, unknown>>
}

const positive = (name: string, option: string, input: Duration.DurationInput): Duration.Duration => {
  const duration = Duration.decode(input)
  if (Duration.toMillis(duration) > 0) return duration
  throw new RangeError(`${option} of agent "${name}" must be longer than nothing, not ${String(input)}`)
}

const toLayer = <N extends string, R extends Rpc.Any, S, H extends Handlers<R, S>, EX, RX>(
  self: Agent<N, R, S>,
  handlers: H | Effect.Effect<H, EX, RX>
): Layer.Layer<never, EX, AgentRuntime | RX | HandlersContext<H> | Rpc.Context<R>> =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const runtime = yield* AgentRuntime
    const made: H = Effect.isEffect(handlers) ? yield* handlers : handlers
    yield* runtime.register(self, made as Handlers<R, S, HandlersContext<H>>)
  }))

const clientOf = <R extends Rpc.Any>(
  runtime: AgentRuntime["Type"],
  self: Protocol<R>,
  id: string
): Client<R> => {
  const address = AgentAddress.make(self.name, id)
  return Object.fromEntries(self.protocol.map((rpc) => {
    const ask: Client<Rpc.Any>[string] = (payload, options) =>
      runtime.send(address, rpc._tag, payload, options)
    return [rpc._tag, ask]
  })) as Client<R>
}

const tellerOf = <R extends Rpc.Any>(
  runtime: AgentRuntime["Type"],
  self: Protocol<R>,
  id: string
): Teller<R, AgentError> => {
  const address = AgentAddress.make(self.name, id)
  return Object.fromEntries(self.protocol.map((rpc) => {
    const tell: Teller<Rpc.Any, AgentError>[string] = (payload) => runtime.tell(address, rpc._tag, payload)
    return [rpc._tag, tell]
  })) as Teller<R, AgentError>
}
