/**
 * `holdfast batch`: its arguments and options.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as os from "node:os"
import * as Failure from "../Failure.ts"
import { db, json } from "./Shared.ts"

/** The command behind `--`, which is taken from the command line before its options are read. */
export interface UserCommand {
  readonly argv: ReadonlyArray<string> | null
}

const optionalText = (name: string, pseudoName: string, description: string) =>
  Options.text(name).pipe(
    Options.withPseudoName(pseudoName),
    Options.withDescription(description),
    Options.optional,
    Options.map(Option.getOrNull)
  )

const options = {
  tasks: Args.text({ name: "TASKS" }).pipe(
    Args.withDescription(
      "A file, or - for stdin: JSON Lines when the first line is a JSON object or string, else a task a line"
    )
  ),
  db,
  json,
  name: optionalText(
    "name",
    "NAME",
    "The batch's name; by default made from the input's path and the command"
  ),
  concurrency: Options.integer("concurrency").pipe(
    Options.withAlias("c"),
    Options.withDefault(os.availableParallelism()),
    Options.withDescription("How many commands run at once; by default as many as there are cores")
  ),
  rate: optionalText(
    "rate",
    "N/s",
    "How many commands start at most per second, minute or hour: 20/s, 100/m"
  ),
  retries: Options.integer("retries").pipe(
    Options.withDefault(3),
    Options.withDescription(
      "How often a failed command is tried again, at first after about 1 s, then after twice that, ..."
    )
  ),
  timeout: optionalText(
    "timeout",
    "TIME",
    "How long a command may run before its process group is killed: 30s, 10m"
  ),
  failFast: Options.boolean("fail-fast").pipe(
    Options.withDescription("Skip what is left once a task has failed for good")
  ),
  breaker: optionalText(
    "breaker",
    "N%",
    "Pause while so many commands of the last 20 fail, probe, and go on"
  ),
  priority: optionalText("priority", "FIELD", "A field with whole numbers; smaller ones run first"),
  out: optionalText("out", "FILE", "Write a JSON line for each finished task"),
  failed: optionalText("failed", "FILE", "Write the inputs of failed tasks, to be fed back"),
  restart: Options.boolean("restart").pipe(
    Options.withDescription("Forget what this batch has done and begin anew")
  ),
  shell: Options.boolean("shell").pipe(
    Options.withDescription("Let /bin/sh read the command; placeholders are quoted")
  )
}

const description = HelpDoc.blocks([
  HelpDoc.p(
    "Runs a command for every input, with limits and retries, and survives anything: run the same command again " +
      "and it continues. Placeholders in any argument: {} the line or object, {name} a field, {#} the number from 1, " +
      "{/} the basename, {.} without extension; {{name}} is {name} itself. Without one the line is the last argument."
  ),
  HelpDoc.p("holdfast batch urls.txt --concurrency 8 --rate 20/s -- curl -fsSL -o out/{#}.html {}"),
  HelpDoc.p("find . -name '*.png' | holdfast batch - --name thumbs -- convert {} -resize 50% thumbs/{/}"),
  HelpDoc.p("holdfast batch jobs.jsonl --out results.jsonl -- ./process --id {id} --path {path}")
])

/** `holdfast batch` for a user's command. */
export const batch = (user: UserCommand) =>
  Command.make("batch", options, (given) =>
    Effect.gen(function*() {
      // Most of the program, which the other commands need not load.
      const { run } = yield* Effect.promise(() => import("../batch/BatchArguments.ts"))
      const exitCode = yield* run(user.argv, given)
      // The summary has said all there is to say.
      if (exitCode !== Failure.exitCodes.done) {
        return yield* new Failure.Failure({ exitCode, message: "" })
      }
    })).pipe(Command.withDescription(description))
