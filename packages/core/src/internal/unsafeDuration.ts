import * as Duration from "effect/Duration"

/**
 * Decodes a duration. Throws where it is negative or not a number, which `Duration.decode` takes for zero.
 */
export const unsafeDuration = (name: string, input: Duration.DurationInput): Duration.Duration => {
  if (numbersOf(input).some((number) => !(number >= 0))) {
    throw new RangeError(`${name} must be a duration that is not negative, not ${String(input)}`)
  }
  return Duration.decode(input)
}

const numbersOf = (input: Duration.DurationInput): ReadonlyArray<number> => {
  if (typeof input === "number") return [input]
  if (typeof input === "bigint") return [Number(input)]
  if (typeof input === "string") return [Number.parseFloat(input.replace(/^infinity/i, "Infinity"))]
  return Array.isArray(input) ? input : []
}
