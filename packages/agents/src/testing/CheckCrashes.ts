/**
 * A check of crashes ends the process of an agent at every commit it makes, and compares what is left with its model.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import type { Agent } from "../Agent.ts"
import type { Fault, Plan } from "../FaultyCommitLog.ts"
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

/** Are the options of {@link checkAgentCrashes}. */
export interface Options<R extends Rpc.Any>
  extends Omit<AgentScript.Options<R>, "disturbances" | "interludes">, Runs
{
  /** Models the other agents that messages are told. One that has no model is not looked at. */
  readonly others?: ReadonlyArray<Modelled>
}

/** How many scripts are run, unless said otherwise. */
export const numRunsDefault = 10

/** How many actions a script has at most, unless said otherwise. */
export const actionsMaxDefault = 8

/**
 * Performs generated scripts as `checkAgent` does, each once to count its commits and then again for every one of them, with
 * a process that ends before that commit is written, and with one that ends when it is written and nobody has heard of it.
 * Another runtime then goes on over the same storage. Yields how often a process ended.
 *
 * What was answered must be there. A message without an answer was handled, or was not; one with a key is asked again, and
 * handled once. What was told arrives, once. A process that ends between an answer and what follows is the one that ends
 * before the next commit, or after the script.
 *
 * - `numRuns`: how many scripts; 10 by default. `actionsMax`: 8 by default. The other options are those of `checkAgent`.
 *
 * An ask is no part of its sender's transaction, so models of agents that ask others do not hold across a crash.
 *
 * @example
 * import * as Rpc from "@effect/rpc/Rpc"
 * import * as Agent from "@holdfast/agents/Agent"
 * import { checkAgentCrashes } from "@holdfast/agents/testing/CheckCrashes"
 * import * as Effect from "effect/Effect"
 * import * as Exit from "effect/Exit"
 * import * as Schema from "effect/Schema"
 *
 * const Counter = Agent.make("Counter", {
 *   protocol: [
 *     Rpc.make("Increment", {
 *       payload: { id: Schema.String, by: Schema.Int },
 *       success: Schema.Int,
 *       primaryKey: ({ id }) => id
 *     })
 *   ],
 *   state: Schema.Int,
 *   initial: 0
 * })
 *
 * const CounterLayer = Counter.toLayer({
 *   Increment: ({ by }, counter) => Effect.zipRight(counter.update((count) => count + by), counter.get)
 * })
 *
 * export const checked = checkAgentCrashes(Counter, CounterLayer, {
 *   initial: () => 0,
 *   handle: { Increment: (count, { by }) => [count + by, Exit.succeed(count + by)] }
 * })
 */
export const checkAgentCrashes = <N extends string, R extends Rpc.Any, S, M, EX, RX>(
  definition: Agent<N, R, S>,
  handlers: Layer.Layer<never, EX, RX>,
  model: AgentModel<R, S, M>,
  options: Options<R> = {}
): Effect.Effect<number, EX | ModelViolated, Missing<RX> | Rpc.Context<R>> =>
  Effect.gen(function*() {
    const crashes = yield* Ref.make(0)
    const scripts = AgentScript.make(definition, {
      actionsMax: actionsMaxDefault,
      ...options,
      disturbances: [],
      interludes: ["Stop"]
    })
    const run = (script: Script<R>) =>
      Effect.flatMap(
        checkScriptCrashes(definition, handlers, model, script, options),
        (count) => Ref.update(crashes, (all) => all + count)
      )
    yield* forAll(scripts, run, { numRuns: numRunsDefault, ...options })
    return yield* crashes
  })

/**
 * Crashes one script at each of its commits, as {@link checkAgentCrashes} does; yields how often.
 *
 * @example
 * import * as Rpc from "@effect/rpc/Rpc"
 * import * as Agent from "@holdfast/agents/Agent"
 * import { checkScriptCrashes } from "@holdfast/agents/testing/CheckCrashes"
 * import * as Exit from "effect/Exit"
 * import * as Schema from "effect/Schema"
 *
 * const Light = Agent.make("Light", { protocol: [Rpc.make("Toggle")], state: Schema.Boolean, initial: false })
 * const LightLayer = Light.toLayer({ Toggle: (_, light) => light.update((isOn) => !isOn) })
 *
 * export const checked = checkScriptCrashes(Light, LightLayer, {
 *   initial: () => false,
 *   handle: { Toggle: (isOn) => [!isOn, Exit.void] }
 * }, [{ _tag: "Tell", id: "hall", message: { rpc: "Toggle", payload: undefined } }])
 */
export const checkScriptCrashes = <N extends string, R extends Rpc.Any, S, M, EX, RX>(
  definition: Agent<N, R, S>,
  handlers: Layer.Layer<never, EX, RX>,
  model: AgentModel<R, S, M>,
  script: Script<R>,
  options: Pick<Options<R>, "others"> = {}
): Effect.Effect<number, EX | ModelViolated, Missing<RX> | Rpc.Context<R>> => {
  const models = [AgentModels.of(definition, model), ...options.others ?? []] as const
  const simulation = () => new Simulation(models, script as unknown as Script<Rpc.Any>)
  return Effect.gen(function*() {
    const commits = yield* live(simulation(), handlers, () => null)
    for (let commit = 1; commit <= commits; commit++) {
      for (const fault of faults) {
        const crashing = simulation()
        yield* live(crashing, handlers, crashAt(crashing, commit, fault))
      }
    }
    return commits * faults.length
  })
}

// internal

const faults = [{ _tag: "CrashBefore" }, { _tag: "CrashAfter" }] as const satisfies ReadonlyArray<Fault>

const crashAt =
  (simulation: Simulation, at: number, fault: (typeof faults)[number]): Plan => (commit, operations) => {
    if (commit !== at) return null
    const written = operations.map(({ _tag, lane }) => `${_tag} of ${lane}`).join(", ")
    simulation.crash = `${fault._tag === "CrashBefore" ? "before" : "after"} commit ${at}: ${written}`
    return fault
  }
