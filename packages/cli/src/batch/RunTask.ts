/**
 * Runs the command of one task.
 */
import type { ClaimedTask } from "@holdfast/agents/Task"
import * as CircuitBreaker from "@holdfast/core/CircuitBreaker"
import * as ProcessMarker from "@holdfast/core/ProcessMarker"
import * as SystemCommand from "@holdfast/core/SystemCommand"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { BatchOptions } from "./BatchOptions.ts"
import * as BatchTask from "./BatchTask.ts"
import type { CommandHost } from "./CommandHost.ts"
import * as Template from "./Template.ts"

/** How long a command may take to end after SIGTERM: 5 seconds. */
const killGrace = Duration.seconds(5)

/**
 * Makes the function that runs a task: exit code 0 succeeds, all else fails. The command and all it starts are marked
 * with the node, so that whoever takes over finds them.
 */
export const make = (
  template: Template.Template,
  options: BatchOptions,
  breaker: CircuitBreaker.CircuitBreaker | null,
  host: CommandHost
): Effect.Effect<
  (
    payload: BatchTask.Payload,
    task: ClaimedTask
  ) => Effect.Effect<SystemCommand.CommandResult, BatchTask.CommandFailed>
> =>
  Effect.map(SystemCommand.inheritedEnvironment, (inherited) => {
    let marked = { node: "", env: inherited }
    // One object for many commands: a copy of the environment for each costs more than the command's own bookkeeping.
    const environment = (node: string) => {
      if (marked.node !== node) marked = { node, env: ProcessMarker.mark(inherited, node) }
      return marked.env
    }
    return (payload, task) => {
      const ran = Effect.flatMap(
        run(host, template, options, payload, environment(task.node)),
        failUnlessZero
      )
      return breaker === null ? ran : CircuitBreaker.protectWhenReady(ran, breaker)
    }
  })

const failUnlessZero = (result: SystemCommand.CommandResult) =>
  result.exitCode === 0 && !result.timedOut
    ? Effect.succeed(result)
    : Effect.fail(new BatchTask.CommandFailed({ result }))

const run = (
  host: CommandHost,
  template: Template.Template,
  options: BatchOptions,
  payload: BatchTask.Payload,
  env: SystemCommand.Environment
): Effect.Effect<SystemCommand.CommandResult> => {
  const { shell } = options.command
  const task = { index: payload.index, value: payload.task }
  const rendered = Template.render(template, task, shell ? Template.shellQuote : undefined)
  if (Either.isLeft(rendered)) return notStarted(rendered.left)
  const [command = "", ...args] = shell ? ["/bin/sh", "-c", rendered.right.join(" ")] : rendered.right
  const settings = { env, killGrace, ...(options.timeout === null ? {} : { timeout: options.timeout }) }
  const ran = host.run({ ...settings, command, args })
  return Effect.catchAll(ran, (error) => notStarted(error.message))
}

/** A command that could not be started failed like one that said so itself. */
const notStarted = (reason: string): Effect.Effect<SystemCommand.CommandResult> =>
  Effect.map(Clock.currentTimeMillis, (startedAtMillis) => ({
    exitCode: null,
    signal: null,
    timedOut: false,
    stdout: "",
    stderr: reason,
    truncated: false,
    startedAtMillis,
    durationMillis: 0
  }))
