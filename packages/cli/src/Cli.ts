/**
 * The command line as a whole: reads it, runs the command, and says what the process is to end with.
 */
import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import process from "node:process"
import * as Arguments from "./Arguments.ts"
import { agents } from "./commands/Agents.ts"
import { batch } from "./commands/Batch.ts"
import { dbCommand } from "./commands/Db.ts"
import { ps } from "./commands/Ps.ts"
import { runCommand } from "./commands/Run.ts"
import type { Load } from "./commands/Run.ts"
import { tasks } from "./commands/Tasks.ts"
import * as Failure from "./Failure.ts"
import * as Output from "./Output.ts"

export type { Load } from "./commands/Run.ts"

/** Runs a command line (without program and script) and yields the exit code; failures are told on stderr. */
export const run = (argv: ReadonlyArray<string>, version: string, load: Load): Effect.Effect<number> => {
  const { own, user } = splitAtDashes(argv)
  const ours = batch({ argv: user })
  const runModule = runCommand(load)
  const root = Command.make("holdfast").pipe(
    Command.withDescription(
      "Runs and operates durable work: batches of commands, agents, their tasks, and what holds them."
    ),
    Command.withSubcommands([ours, runModule, tasks, agents, ps, dbCommand])
  )
  const commands = {
    batch: ours.descriptor,
    run: runModule.descriptor,
    tasks: tasks.descriptor,
    agents: agents.descriptor,
    ps: ps.descriptor,
    db: dbCommand.descriptor
  }
  return Effect.gen(function*() {
    const output = yield* Output.Output
    const checked = Arguments.check(commands, own)
    if (Either.isLeft(checked)) return yield* tell(output, Failure.usage(checked.left))
    return yield* Command.run(root, { name: "holdfast", version })(["node", "holdfast", ...checked.right])
      .pipe(
        Effect.as(Failure.exitCodes.done),
        Effect.catchAll((error) => tell(output, error)),
        (program) => Console.consoleWith((console) => Effect.withConsole(program, consoleOf(console, output)))
      )
  }).pipe(Effect.provide(services))
}

/** What stands behind the first `--` is the user's command, and no option in it is ours. */
export const splitAtDashes = (argv: ReadonlyArray<string>) => {
  const at = argv.indexOf("--")
  return at < 0 ? { own: argv, user: null } : { own: argv.slice(0, at), user: argv.slice(at + 1) }
}

const services = Layer.mergeAll(
  Output.layer,
  NodeFileSystem.layer,
  NodePath.layer,
  NodeTerminal.layer,
  Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))
)

/** Wrong usage has been told already, where it was found. */
const tell = (
  output: Output.Output["Type"],
  error: Failure.Failure | ValidationError.ValidationError
): Effect.Effect<number> => {
  if (ValidationError.isValidationError(error)) return Effect.succeed(Failure.exitCodes.usage)
  return Effect.as(
    error.message === "" ? Effect.void : output.say(`holdfast: ${error.message}`),
    error.exitCode
  )
}

/** Help and usage errors come through the console with colours, which only a terminal understands. */
const consoleOf = (console: Console.Console, output: Output.Output["Type"]): Console.Console => {
  const write = (line: (text: string) => Effect.Effect<void>, isTerminal: boolean) =>
  (
    ...args: ReadonlyArray<unknown>
  ) => {
    const text = args.join(" ")
    return line(isTerminal ? text : Output.plain(text))
  }
  return {
    ...console,
    log: write(output.result, output.colours && process.stdout.isTTY),
    error: write(output.say, output.colours && process.stderr.isTTY)
  }
}
