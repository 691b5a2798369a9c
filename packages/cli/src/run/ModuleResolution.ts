/**
 * Module resolution finds the host that shares its packages with a user's module: the one that the module's own folder
 * would import, and where it has none, the one that this command would.
 */
import * as Either from "effect/Either"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { pathToFileURL } from "node:url"

/** The module of the host, as it is imported. */
export const hostModule = "@holdfast/persistence/Host"

/** Where a module and its host are. */
export interface Resolved {
  /** The URL of the user's module. */
  readonly module: string
  /** The URL of the host. */
  readonly host: string
  /** Packages of which the module and the host have a copy each; both then run, and may not know each other's values. */
  readonly twice: ReadonlyArray<{ readonly name: string; readonly copies: readonly [string, string] }>
}

/** Finds a module and its host; else a sentence that says what is missing. */
export const resolve = (module: string): Either.Either<Resolved, string> => {
  const absolute = path.resolve(module)
  const stat = fs.statSync(absolute, { throwIfNoEntry: false })
  if (stat === undefined) return Either.left("there is no such file")
  if (!stat.isFile()) return Either.left("it is not a file")
  // Node looks for what a module imports from where the module really is.
  const file = fs.realpathSync(absolute)
  const host = find(hostModule, file) ?? find(hostModule, import.meta.url)
  if (host === null) {
    return Either.left(
      `it finds no ${hostModule}: run "npm install effect @holdfast/agents @holdfast/persistence" in its folder or above`
    )
  }
  const twice = ["effect", "@holdfast/agents"].flatMap((name) => {
    const copies = [find(name, file), find(name, host)] as const
    return copies[0] === null || copies[1] === null || copies[0] === copies[1]
      ? []
      : [{ name, copies: [copies[0], copies[1]] as const }]
  })
  return Either.right({ module: pathToFileURL(file).href, host: pathToFileURL(host).href, twice })
}

/** The file that a name stands for where it is imported from; `null` where there is none. */
const find = (name: string, from: string): string | null => {
  try {
    return createRequire(from).resolve(name)
  } catch {
    return null
  }
}
