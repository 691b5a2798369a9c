/**
 * An agent script is what happens to agents in one run of a check, action by action.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as FastCheck from "effect/FastCheck"
import * as Inspectable from "effect/Inspectable"
import type { Protocol } from "../AgentProtocol.ts"
import type { Message } from "./AgentArbitrary.ts"
import * as AgentArbitrary from "./AgentArbitrary.ts"

/** What happens to an agent while it handles messages, so many turns of other fibers after they were sent. */
export interface Disturbance {
  readonly _tag: "Interrupt" | "Kill" | "Restart" | "Stop"
  readonly turns: number
}

/**
 * What happens next.
 *
 * `Ask`: the messages are asked all at once. `Tell`: the message is told durably. `Again`: the message that was sent as many
 * before the last one is asked again. `Stop`, `Kill` and `Restart` are those of the runtime. `Reopen`: the runtime drains and
 * closes, and another one opens on its storage.
 */
export type Action<R extends Rpc.Any> =
  | {
    readonly _tag: "Ask"
    readonly id: string
    readonly messages: ReadonlyArray<Message<R>>
    readonly disturbance: Disturbance | null
  }
  | { readonly _tag: "Tell"; readonly id: string; readonly message: Message<R> }
  | { readonly _tag: "Again"; readonly back: number }
  | { readonly _tag: "Stop" | "Kill" | "Restart"; readonly id: string }
  | { readonly _tag: "Reopen" }

/** Is one run. */
export type Script<R extends Rpc.Any> = ReadonlyArray<Action<R>>

/** Are the options of {@link make}. */
export interface Options<R extends Rpc.Any> extends AgentArbitrary.Options<R> {
  /** The agents that are sent messages; `a` and `b` by default. */
  readonly ids?: readonly [string, ...ReadonlyArray<string>]
  /** How many actions a script has at most; 20 by default. */
  readonly actionsMax?: number
  /**
   * How many messages are asked at once at most; 1 by default. Agents that tell themselves, or ask whom they tell, handle
   * such messages in no certain order.
   */
  readonly burstMax?: number
  /** What may happen while messages are handled: anything by default. Agents that ask others stand nothing but `Stop`. */
  readonly disturbances?: ReadonlyArray<Disturbance["_tag"]>
  /** What may happen between messages: anything by default. */
  readonly interludes?: ReadonlyArray<"Stop" | "Kill" | "Restart" | "Reopen">
}

/** How many actions a script has at most, unless said otherwise. */
export const actionsMaxDefault = 20

/** Everything that may happen while messages are handled. */
export const disturbances: ReadonlyArray<Disturbance["_tag"]> = ["Interrupt", "Kill", "Restart", "Stop"]

/** Everything that may happen between messages. */
export const interludes: ReadonlyArray<"Stop" | "Kill" | "Restart" | "Reopen"> = [
  "Stop",
  "Kill",
  "Restart",
  "Reopen"
]

/**
 * Generates scripts for the agents of a protocol; they shrink to fewer and plainer actions.
 *
 * @example
 * import * as Rpc from "@effect/rpc/Rpc"
 * import * as Agent from "@holdfast/agents/Agent"
 * import * as AgentScript from "@holdfast/agents/testing/AgentScript"
 * import * as FastCheck from "effect/FastCheck"
 * import * as Schema from "effect/Schema"
 *
 * const Light = Agent.make("Light", { protocol: [Rpc.make("Toggle")], state: Schema.Boolean, initial: false })
 *
 * export const [script = []] = FastCheck.sample(AgentScript.make(Light, { ids: ["hall"], actionsMax: 5 }), 1)
 */
export const make = <R extends Rpc.Any>(
  agent: Protocol<R>,
  options: Options<R> = {}
): FastCheck.Arbitrary<Script<R>> => {
  const id = FastCheck.constantFrom(...options.ids ?? (["a", "b"] as const))
  const message = AgentArbitrary.message(agent, options)
  const ask = FastCheck.record({
    _tag: FastCheck.constant("Ask" as const),
    id,
    messages: FastCheck.array(message, { minLength: 1, maxLength: options.burstMax ?? 1 }),
    disturbance: disturbance(options.disturbances ?? disturbances)
  })
  const tell = FastCheck.record({ _tag: FastCheck.constant("Tell" as const), id, message })
  const again = FastCheck.record({ _tag: FastCheck.constant("Again" as const), back: FastCheck.nat(9) })
  const between = (options.interludes ?? interludes).map((_tag) => ({
    weight: 1,
    arbitrary: _tag === "Reopen"
      ? FastCheck.constant({ _tag })
      : FastCheck.record({ _tag: FastCheck.constant(_tag), id })
  }))
  const action: FastCheck.Arbitrary<Action<R>> = FastCheck.oneof(
    { weight: 8, arbitrary: ask },
    { weight: 3, arbitrary: tell },
    { weight: 2, arbitrary: again },
    ...between
  )
  return FastCheck.array(action, { minLength: 1, maxLength: options.actionsMax ?? actionsMaxDefault })
}

/** Renders an action as people read it. */
export const render = <R extends Rpc.Any>(action: Action<R>): string => {
  switch (action._tag) {
    case "Ask":
      return `ask ${action.id} ${action.messages.map(renderMessage).join(", ")}${renderTurns(action)}`
    case "Tell":
      return `tell ${action.id} ${renderMessage(action.message)}`
    case "Again":
      return action.back === 0 ? "ask the last message again" : `ask the message ${action.back} before again`
    case "Reopen":
      return "reopen the storage"
    default:
      return `${action._tag.toLowerCase()} ${action.id}`
  }
}

// internal

const disturbance = (tags: ReadonlyArray<Disturbance["_tag"]>): FastCheck.Arbitrary<Disturbance | null> =>
  tags.length === 0
    ? FastCheck.constant(null)
    : FastCheck.option(
      FastCheck.record({ _tag: FastCheck.constantFrom(...tags), turns: FastCheck.nat(12) }),
      { freq: 4 }
    )

const renderMessage = (message: unknown): string => {
  const { payload, rpc } = message as { readonly payload: unknown; readonly rpc: string }
  return payload === undefined ? rpc : `${rpc} ${Inspectable.toStringUnknown(payload, 0)}`
}

const renderTurns = (action: { readonly disturbance: Disturbance | null }): string =>
  action.disturbance === null
    ? ""
    : `, ${action.disturbance._tag.toLowerCase()} after ${action.disturbance.turns} turns`
