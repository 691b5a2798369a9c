/**
 * An agent arbitrary generates messages that an agent understands, from the schemas of its protocol.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as Arbitrary from "effect/Arbitrary"
import * as FastCheck from "effect/FastCheck"
import type * as Schema from "effect/Schema"
import type { Protocol } from "../AgentProtocol.ts"

/** Is a message of a protocol: its tag and its payload. */
export type Message<R extends Rpc.Any> = {
  readonly [C in R as C["_tag"]]: { readonly rpc: C["_tag"]; readonly payload: Rpc.Payload<C> }
}[R["_tag"]]

/** Are the options of {@link message}. */
export interface Options<R extends Rpc.Any> {
  /** Generates the payloads of these messages, in place of their schemas. */
  readonly payloads?: {
    readonly [C in R as C["_tag"]]?: FastCheck.Arbitrary<Rpc.PayloadConstructor<C>>
  }
  /** How often each message is drawn, compared with the others: 1 by default, 0 for never. */
  readonly weights?: { readonly [C in R as C["_tag"]]?: number }
}

/**
 * Generates messages of an agent's protocol. What `payloads` yields becomes a payload as a sender's input does.
 *
 * Throws when every message has the weight 0, and on a schema that no arbitrary can be made of.
 *
 * @example
 * import * as Rpc from "@effect/rpc/Rpc"
 * import * as Agent from "@holdfast/agents/Agent"
 * import * as AgentArbitrary from "@holdfast/agents/testing/AgentArbitrary"
 * import * as FastCheck from "effect/FastCheck"
 * import * as Schema from "effect/Schema"
 *
 * const Counter = Agent.make("Counter", {
 *   protocol: [
 *     Rpc.make("Increment", { payload: { by: Schema.Int }, success: Schema.Int }),
 *     Rpc.make("Read", { success: Schema.Int })
 *   ],
 *   state: Schema.Int,
 *   initial: 0
 * })
 *
 * export const messages = AgentArbitrary.message(Counter, {
 *   payloads: { Increment: FastCheck.record({ by: FastCheck.integer({ min: 1, max: 9 }) }) },
 *   weights: { Increment: 3 }
 * })
 */
export const message = <R extends Rpc.Any>(
  { protocol }: Protocol<R>,
  options: Options<R> = {}
): FastCheck.Arbitrary<Message<R>> => {
  const payloads: Partial<Record<string, FastCheck.Arbitrary<unknown>>> = options.payloads ?? {}
  const weights: Partial<Record<string, number>> = options.weights ?? {}
  const drawn = protocol.map((rpc) => ({
    weight: weights[rpc._tag] ?? 1,
    arbitrary: ofRpc(rpc as R & Rpc.AnyWithProps, payloads[rpc._tag])
  }))
  return FastCheck.oneof(...drawn.filter(({ weight }) => weight > 0)) as FastCheck.Arbitrary<Message<R>>
}

/**
 * Generates sequences of messages to agents of a few ids, at most `messagesMax` of them; 20 by default.
 *
 * @example
 * import * as Rpc from "@effect/rpc/Rpc"
 * import * as Agent from "@holdfast/agents/Agent"
 * import * as AgentArbitrary from "@holdfast/agents/testing/AgentArbitrary"
 * import * as FastCheck from "effect/FastCheck"
 * import * as Schema from "effect/Schema"
 *
 * const Light = Agent.make("Light", { protocol: [Rpc.make("Toggle")], state: Schema.Boolean, initial: false })
 *
 * export const [sequence = []] = FastCheck.sample(AgentArbitrary.sequence(Light, ["hall", "stairs"]), 1)
 */
export const sequence = <R extends Rpc.Any>(
  agent: Protocol<R>,
  ids: readonly [string, ...ReadonlyArray<string>],
  options: Options<R> & { readonly messagesMax?: number } = {}
): FastCheck.Arbitrary<ReadonlyArray<{ readonly id: string; readonly message: Message<R> }>> =>
  FastCheck.array(
    FastCheck.record({ id: FastCheck.constantFrom(...ids), message: message(agent, options) }),
    { minLength: 1, maxLength: options.messagesMax ?? messagesMaxDefault }
  )

/** How many messages a sequence has at most, unless said otherwise. */
export const messagesMaxDefault = 20

// internal

const ofRpc = (
  { _tag, payloadSchema }: Rpc.AnyWithProps,
  input: FastCheck.Arbitrary<unknown> | undefined
): FastCheck.Arbitrary<{ readonly rpc: string; readonly payload: unknown }> => {
  const payload = input === undefined
    ? Arbitrary.make(payloadSchema as Schema.Schema<unknown>)
    : input.map((given): unknown => (payloadSchema.make === undefined ? given : payloadSchema.make(given)))
  return payload.map((payload) => ({ rpc: _tag, payload }))
}
