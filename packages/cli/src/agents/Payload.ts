/**
 * Payloads and delays as people write them.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Failure from "../Failure.ts"

/** The JSON text as it was given, which may say more than a JavaScript value holds; else a sentence that says where it is wrong. */
export const check = (text: string): Either.Either<string, string> =>
  Either.try({
    try: () => {
      JSON.parse(text)
      return text.trim()
    },
    catch: (error) => `the payload is no JSON: ${error instanceof Error ? error.message : String(error)}`
  })

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000
}

/** Reads a delay such as `10s`. */
export const delayMillis = (text: string): Effect.Effect<number, Failure.Failure> => {
  const [, amount, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? []
  return amount === undefined || unit === undefined
    ? Failure.usage(`--delay ${text}: write a duration such as 500ms, 10s, 5m, 2h or 1d`)
    : Effect.succeed(Number(amount) * (units[unit] ?? 0))
}
