/**
 * What stands on the command line of a batch, read and checked.
 */
import * as RateLimiter from "@holdfast/core/RateLimiter"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { notYet } from "../commands/Shared.ts"
import * as Failure from "../Failure.ts"
import type { Output } from "../Output.ts"
import * as Batch from "./Batch.ts"
import type { BatchOptions } from "./BatchOptions.ts"

/** The options as they are written, and what they are for a batch without them. */
export interface Given extends Omit<BatchOptions, "command" | "rate" | "timeout" | "breaker"> {
  readonly rate: string | null
  readonly timeout: string | null
  readonly breaker: string | null
  readonly shell: boolean
}

/** The most commands at once. */
const concurrencyMax = 1_000

/** Runs the batch of a command line; yields the exit code. */
export const run = (
  argv: ReadonlyArray<string> | null,
  given: Given
): Effect.Effect<number, Failure.Failure, Output> =>
  Effect.gen(function*() {
    if (argv === null || argv.length === 0) {
      return yield* Failure.usage("the command to run is missing: holdfast batch TASKS -- COMMAND [ARG...]")
    }
    if (/^postgres(ql)?:/.test(given.db)) return yield* notYet(given.db)
    return yield* Batch.run({
      ...given,
      rate: given.rate === null ? null : yield* parseRate(given.rate),
      command: { argv, shell: given.shell },
      concurrency: yield* between("--concurrency", given.concurrency, 1, concurrencyMax),
      retries: yield* between("--retries", given.retries, 0, 1_000),
      timeout: given.timeout === null ? null : yield* parseTimeout(given.timeout),
      breaker: given.breaker === null ? null : yield* parseShare(given.breaker)
    })
  })

const parseRate = (text: string) =>
  Either.mapLeft(RateLimiter.parseRate(text), (error) => Failure.usage(`--rate: ${error.message}`))

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
