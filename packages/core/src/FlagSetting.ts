/**
 * A flag setting says for whom a feature is on: for everybody, nobody, or a percentage of ids.
 */
import * as Schema from "effect/Schema"

/**
 * Is on or off for all, or on for a percentage of ids.
 *
 * `percentage` is from 0 to 100, in steps of 0.01. Flags with one `salt` choose the same ids.
 */
export const FlagSetting = Schema.Union(
  Schema.Boolean,
  Schema.Struct({ percentage: Schema.Number, salt: Schema.String })
)
export type FlagSetting = typeof FlagSetting.Type

/** Is a setting to be made; without a salt the flag keeps the one it has, or gets its own name. */
export type NewSetting = boolean | { readonly percentage: number; readonly salt?: string }

/** A percentage is no number from 0 to 100. */
export class InvalidPercentage
  extends Schema.TaggedError<InvalidPercentage>("@holdfast/core/InvalidPercentage")("InvalidPercentage", {
    flag: Schema.String,
    percentage: Schema.Number
  })
{
  override get message(): string {
    return `flag "${this.flag}": a percentage must be a number from 0 to 100, not ${this.percentage}`
  }
}

/** How many parts ids are spread over. */
export const bucketCount = 10_000

/** The setting that a new one comes to, given the one that stands. */
export const resolve = (
  flag: string,
  next: NewSetting,
  current: FlagSetting | undefined
): FlagSetting => {
  if (typeof next === "boolean") return next
  const salt = typeof current === "object" ? current.salt : flag
  return { percentage: next.percentage, salt: next.salt ?? salt }
}

/** Whether a new setting has a percentage that no flag can have. */
export const isInvalid = (
  setting: NewSetting
): setting is Exclude<NewSetting, boolean> =>
  typeof setting === "object" && !(setting.percentage >= 0 && setting.percentage <= 100)

/**
 * Whether a feature is on for an id. It is always the same for one setting, and a higher percentage only adds ids. Without
 * an id, a percentage is on from 100.
 */
export const isEnabled = (setting: FlagSetting, id?: string): boolean => {
  if (typeof setting === "boolean") return setting
  const parts = Math.round(setting.percentage * (bucketCount / 100))
  return id === undefined ? parts === bucketCount : bucketOf(setting.salt, id) < parts
}

/**
 * The bucket of an id, from 0 to 9,999; the same on every machine and in every version.
 *
 * **Source** FNV-1a over UTF-16 code units, finished by MurmurHash3's `fmix32`.
 */
export const bucketOf = (salt: string, id: string): number => {
  const text = `${salt}\u0000${id}`
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) % bucketCount
}

/** The name that takes the fewest edits to come to from another; the first of several; none where there are none. */
export const nearest = (name: string, names: ReadonlyArray<string>): string | undefined => {
  const ranked = names.map((known) => ({ known, edits: editsBetween(name.slice(0, 64), known.slice(0, 64)) }))
  return ranked.reduce<(typeof ranked)[number] | undefined>(
    (best, one) => (best === undefined || one.edits < best.edits ? one : best),
    undefined
  )?.known
}

// internal

/** **Source** Levenshtein distance, Wagner and Fischer's rows. */
const editsBetween = (from: string, to: string): number => {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [at, char] of Array.from(from).entries()) {
    const next = [at + 1]
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = (row[column - 1] ?? 0) + (char === to[column - 1] ? 0 : 1)
      next.push(Math.min((row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1, replaced))
    }
    row = next
  }
  return row[to.length] ?? 0
}
