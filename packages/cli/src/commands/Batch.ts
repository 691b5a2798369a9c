/**
 * `holdfast batch`: its arguments and options.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as RateLimiter from "@holdfast/core/RateLimiter"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as os from "node:os"
import * as Batch from "../batch/Batch.ts"
import * as Failure from "../Failure.ts"
import { db, json, notYet } from "./Shared.ts"

/** The command behind `--`, which is taken from the command line before its options are read. */
export interface UserCommand {
  readonly argv: ReadonlyArray<string> | null
}

/** The most commands at once. */
const concurrencyMax = 1_000

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
      if (user.argv === null || user.argv.length === 0) {
        return yield* Failure.usage("the command to run is missing: holdfast batch TASKS -- COMMAND [ARG...]")
      }
      if (/^postgres(ql)?:/.test(given.db)) return yield* notYet(given.db)
      const rate = given.rate === null ?
        null :
        yield* Either.mapLeft(
          RateLimiter.parseRate(given.rate),
          (error) => Failure.usage(`--rate: ${error.message}`)
        )
      const exitCode = yield* Batch.run({
        ...given,
        command: { argv: user.argv, shell: given.shell },
        concurrency: yield* between("--concurrency", given.concurrency, 1, concurrencyMax),
        retries: yield* between("--retries", given.retries, 0, 1_000),
        rate,
        timeout: given.timeout === null ? null : yield* parseTimeout(given.timeout),
        breaker: given.breaker === null ? null : yield* parseShare(given.breaker)
      })
      // The summary has said all there is to say.
      if (exitCode !== Failure.exitCodes.done) {
        return yield* new Failure.Failure({ exitCode, message: "" })
      }
    })).pipe(Command.withDescription(description))

const between = (
  name: string,
  value: number,
  least: number,
  most: number
): Effect.Effect<number, Failure.Failure> =>
  value >= least && value <= most
    ? Effect.succeed(value)
    : Effect.fail(Failure.usage(`${name} must be from ${least} to ${most}, not ${value}`))

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

const parseTimeout = (text: string): Effect.Effect<Duration.Duration, Failure.Failure> => {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? []
  const millis = Number(amount) * (units[unit ?? ""] ?? Number.NaN)
  return millis >= 1 && millis < 2 ** 31
    ? Effect.succeed(Duration.millis(millis))
    : Effect.fail(
      Failure.usage(`--timeout ${text}: write a number and ms, s, m or h, as in 30s or 10m; at most 24 days`)
    )
}

const parseShare = (text: string): Effect.Effect<number, Failure.Failure> => {
  const percent = Number(/^(\d+(?:\.\d+)?)%$/.exec(text)?.[1])
  return percent > 0 && percent <= 100
    ? Effect.succeed(percent / 100)
    : Effect.fail(Failure.usage(`--breaker ${text}: write a share from 1% to 100%`))
}
