/**
 * A check of an agent compares it with its model, in every answer and state of generated scripts.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Agent } from "../Agent.ts"
import type { Runs } from "../internal/testing/forAll.ts"
import { forAll } from "../internal/testing/forAll.ts"
import type { Missing } from "../internal/testing/lives.ts"
import { live } from "../internal/testing/lives.ts"
import { Simulation } from "../internal/testing/Simulation.ts"
import type { AgentModel, Modelled } from "./AgentModel.ts"
import * as AgentModels from "./AgentModel.ts"
import type { Script } from "./AgentScript.ts"
import * as AgentScript from "./AgentScript.ts"
import type { ModelViolated } from "./ModelViolated.ts"

/** Are the options of {@link checkAgent}. */
export interface Options<R extends Rpc.Any> extends AgentScript.Options<R>, Runs {
  /** Models the other agents that messages are told. One that has no model is not looked at. */
  readonly others?: ReadonlyArray<Modelled>
}

/** How many scripts are run, unless said otherwise. */
export const numRunsDefault = 50

/**
 * Performs generated scripts on agents in memory, in virtual time, and compares all they answer and become with the model.
 *
 * Scripts ask, tell and repeat messages, interrupt, kill, restart and stop agents meanwhile, and reopen the storage. What
 * an action leads to is waited for before the next one, so that what is told and scheduled is handled in one certain order;
 * time passes only to that end. Fails with the shortest script it finds. Runs as an Effect anywhere, in a test of
 * `@effect/vitest` for one; it brings its own clock, and the handlers are made anew for each life of a process.
 *
 * - `numRuns`: 50 by default. `seed` and `path`: what a failure names, to see it again.
 * - `others`: models of agents that are told messages; the layer handles theirs, too.
 * - `ids`, `actionsMax`, `burstMax`, `disturbances`, `interludes`, `payloads`, `weights`: see `AgentScript` and
 *   `AgentArbitrary`.
 *
 * Agents of durability `none` do not outlive their lives, and agents that set out again for ever never come to rest:
 * both are beyond it.
 *
 * @example
 * import * as Rpc from "@effect/rpc/Rpc"
 * import * as Agent from "@holdfast/agents/Agent"
 * import { checkAgent } from "@holdfast/agents/testing/CheckAgent"
 * import * as Effect from "effect/Effect"
 * import * as Exit from "effect/Exit"
 * import * as Schema from "effect/Schema"
 *
 * const Counter = Agent.make("Counter", {
 *   protocol: [Rpc.make("Increment", { payload: { by: Schema.Int }, success: Schema.Int })],
 *   state: Schema.Int,
 *   initial: 0
 * })
 *
 * const CounterLayer = Counter.toLayer({
 *   Increment: ({ by }, counter) => Effect.zipRight(counter.update((count) => count + by), counter.get)
 * })
 *
 * export const checked = checkAgent(Counter, CounterLayer, {
 *   initial: () => 0,
 *   handle: { Increment: (count, { by }) => [count + by, Exit.succeed(count + by)] }
 * })
 */
export const checkAgent = <N extends string, R extends Rpc.Any, S, M, EX, RX>(
  definition: Agent<N, R, S>,
  handlers: Layer.Layer<never, EX, RX>,
  model: AgentModel<R, S, M>,
  options: Options<R> = {}
): Effect.Effect<void, EX | ModelViolated, Missing<RX> | Rpc.Context<R>> =>
  forAll(
    AgentScript.make(definition, options),
    (script) => checkScript(definition, handlers, model, script, options),
    { numRuns: numRunsDefault, ...options }
  )

/**
 * Performs one script, as {@link checkAgent} does with those it generates: for a property of one's own.
 *
 * @example
 * import * as Rpc from "@effect/rpc/Rpc"
 * import * as Agent from "@holdfast/agents/Agent"
 * import * as AgentScript from "@holdfast/agents/testing/AgentScript"
 * import { checkScript } from "@holdfast/agents/testing/CheckAgent"
 * import * as Effect from "effect/Effect"
 * import * as Exit from "effect/Exit"
 * import * as FastCheck from "effect/FastCheck"
 * import * as Schema from "effect/Schema"
 *
 * const Light = Agent.make("Light", { protocol: [Rpc.make("Toggle")], state: Schema.Boolean, initial: false })
 * const LightLayer = Light.toLayer({ Toggle: (_, light) => light.update((isOn) => !isOn) })
 *
 * export const property = FastCheck.asyncProperty(AgentScript.make(Light), (script) =>
 *   Effect.runPromise(checkScript(Light, LightLayer, {
 *     initial: () => false,
 *     handle: { Toggle: (isOn) => [!isOn, Exit.void] }
 *   }, script)))
 */
export const checkScript = <N extends string, R extends Rpc.Any, S, M, EX, RX>(
  definition: Agent<N, R, S>,
  handlers: Layer.Layer<never, EX, RX>,
  model: AgentModel<R, S, M>,
  script: Script<R>,
  options: Pick<Options<R>, "others"> = {}
): Effect.Effect<void, EX | ModelViolated, Missing<RX> | Rpc.Context<R>> => {
  const models = [AgentModels.of(definition, model), ...options.others ?? []] as const
  return Effect.asVoid(
    live(new Simulation(models, script as unknown as Script<Rpc.Any>), handlers, () => null)
  )
}
