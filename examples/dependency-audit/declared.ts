/**
 * A declared licence: what a `package.json` says, and whether the texts beside it say the same. Everything here
 * is a pure function over plain data.
 */
import { licencesNamed } from "./licences.ts"

/**
 * - `agree`: the texts found are what the declaration asks for.
 * - `differ`: they are others.
 * - `unknown`: the two cannot be compared: no text was recognised, or the declaration names no licence.
 * - `declared only`, `text only`, `none`: one of the two is missing, or both are.
 */
export type Agreement = "agree" | "differ" | "unknown" | "declared only" | "text only" | "none"

/**
 * Reads the licence out of a `package.json`: an SPDX expression, or the forms npm took before that
 * (`{ "type": "MIT" }`, `"licenses": [...]`), of which several are a choice. `null` when none is declared.
 */
export const declaredLicence = (manifest: { readonly [field: string]: unknown }): string | null => {
  const names = [manifest["license"] ?? manifest["licenses"]].flat().map(nameOf).filter((name) => name !== "")
  return names.length === 0 ? null : names.join(" OR ")
}

/**
 * Compares a declaration with the licences of the texts found; `undefined` when no text was found.
 *
 * A text more than the declaration asks for (of bundled code) is no difference. A family name such as `BSD`
 * agrees with each of its members.
 */
export const compare = (
  declared: string | null,
  found: ReadonlyArray<string> | undefined
): Agreement => {
  if (declared === null) return found === undefined ? "none" : "text only"
  if (found === undefined) return "declared only"
  if (found.length === 0) return "unknown"
  const verdict = evaluate(declared, (name) => found.some((id) => isMember(id, name)))
    ?? namedIn(licencesNamed(declared), found)
  return verdict === undefined ? "unknown" : verdict ? "agree" : "differ"
}

/**
 * Evaluates an SPDX expression, given what each licence in it is worth. `undefined` when it is not one.
 *
 * **Source** SPDX specification, annex "SPDX license expressions": `WITH` binds tightest, then `AND`, then `OR`.
 */
export const evaluate = (
  expression: string,
  holds: (name: string) => boolean
): boolean | undefined => {
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? []
  let next = 0
  const accepts = (token: string) => tokens[next]?.toUpperCase() === token && (next++, true)
  const either = (): boolean | undefined => joined("OR", both, (left, right) => left || right)
  const both = (): boolean | undefined => joined("AND", one, (left, right) => left && right)
  const one = (): boolean | undefined => accepts("(") ? closed(either()) : licence()
  const closed = (value: boolean | undefined) => accepts(")") ? value : undefined
  const licence = (): boolean | undefined => {
    const name = tokens[next++]
    if (name === undefined || reserved.test(name)) return undefined
    if (accepts("WITH")) next++
    return holds(name.replace(/\+$/, ""))
  }
  const joined = (
    operator: string,
    operand: () => boolean | undefined,
    join: (left: boolean, right: boolean) => boolean
  ) => {
    let value = operand()
    while (value !== undefined && accepts(operator)) {
      const right = operand()
      value = right === undefined ? undefined : join(value, right)
    }
    return value
  }
  const value = either()
  return next === tokens.length ? value : undefined
}

// internal

const reserved = /^([()]|AND|OR|WITH|UNLICENSED|SEE)$/i

const nameOf = (entry: unknown): string => {
  if (typeof entry === "string") return entry.trim()
  if (typeof entry !== "object" || entry === null) return ""
  const { type, name } = entry as { readonly type?: unknown; readonly name?: unknown }
  return typeof type === "string" ? type.trim() : typeof name === "string" ? name.trim() : ""
}

const isMember = (id: string, name: string) =>
  id.toLowerCase() === name.toLowerCase() || id.toLowerCase().startsWith(`${name.toLowerCase()}-`)

const namedIn = (named: ReadonlyArray<string>, found: ReadonlyArray<string>) =>
  named.length === 0 ? undefined : named.some((id) => found.includes(id))
