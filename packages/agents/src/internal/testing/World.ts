/**
 * A world is what models say that agents are: their states, and what they answered to messages with keys.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { AgentAddress } from "../../AgentAddress.ts"
import * as AgentAddresses from "../../AgentAddress.ts"
import type { Modelled, Step } from "../../testing/AgentModel.ts"
import type { HostedMessage } from "../HostedAgent.ts"

/** Is a message to an agent. */
export interface Sent {
  readonly to: AgentAddress
  readonly rpc: string
  readonly payload: unknown
}

/** Is what a message is answered with. */
export type Answer = Exit.Exit<unknown, unknown>

/** Holds the models by the names of their agents. */
export type Models = ReadonlyMap<string, Modelled>

/** By rendered address, and by that and the key. */
export interface World {
  readonly states: ReadonlyMap<string, unknown>
  readonly replies: ReadonlyMap<string, Answer>
}

/** In which nothing has happened. */
export const empty: World = { states: new Map(), replies: new Map() }

/** The state of an agent. */
export const stateOf = (world: World, model: Modelled, address: AgentAddress): unknown => {
  const name = AgentAddresses.render(address)
  return world.states.has(name) ? world.states.get(name) : model.initial(address.id)
}

/** The codec of a message. */
export const codecOf = (model: Modelled, { rpc, to }: Sent): HostedMessage =>
  Either.getOrThrow(model.definition.codec.message(to, rpc)) as unknown as HostedMessage

/** What the message is known by; `null` where each is another. */
export const keyOf = (models: Models, sent: Sent): string | null => {
  const model = models.get(sent.to.type)
  return model === undefined ? null : Option.getOrNull(codecOf(model, sent).key(sent.payload))
}

/** What a message comes to, with all that is told because of it. */
export const send = (
  models: Models,
  world: World,
  sent: Sent
): Effect.Effect<{ readonly world: World; readonly answer: Answer }> =>
  Effect.gen(function*() {
    const first = step(models, world, sent)
    const waiting = [...first.tells]
    let told = first.world
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const model = models.get(next.to.type)
      if (model === undefined) continue
      const payload = yield* Effect.orDie(
        codecOf(model, { ...next, payload: next.input }).construct(next.to, next.input)
      )
      const after = step(models, told, { to: next.to, rpc: next.rpc, payload })
      told = after.world
      waiting.push(...after.tells)
    }
    return { world: told, answer: first.answer }
  })

// internal

interface Stepped {
  readonly world: World
  readonly answer: Answer
  readonly tells: NonNullable<Step<Rpc.Any, unknown>[2]>
}

/** A failure leaves the world as it was; a key that was answered answers. */
const step = (models: Models, world: World, sent: Sent): Stepped => {
  const { payload, rpc, to } = sent
  const model = models.get(to.type)
  const handle = model?.handle[rpc]
  if (model === undefined || handle === undefined) {
    throw new Error(`no model says what ${AgentAddresses.render(to)} does with ${rpc}`)
  }
  const name = AgentAddresses.render(to)
  const key = Option.map(codecOf(model, sent).key(payload), (key) => `${name} ${key}`)
  const replied = Option.flatMapNullable(key, (key) => world.replies.get(key))
  if (Option.isSome(replied)) return { world, answer: replied.value, tells: [] }
  const [state, answer, tells = []] = handle(stateOf(world, model, to), payload, to.id)
  if (Exit.isFailure(answer)) return { world, answer, tells: [] }
  const states = new Map(world.states).set(name, state)
  const replies = Option.isNone(key) ? world.replies : new Map(world.replies).set(key.value, answer)
  return { world: { states, replies }, answer, tells }
}
