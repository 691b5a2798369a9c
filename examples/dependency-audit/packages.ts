/**
 * An installed package: a directory that npm put into a `node_modules`, with a `package.json` that has a
 * name and a version.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"

/** One installed package; `path` is relative to the repository, with `/` on every platform. */
export interface Package {
  readonly name: string
  readonly version: string
  readonly path: string
}

/** What `node_modules` holds: the packages, and the directories that look like packages but name none. */
export interface Installed {
  readonly packages: ReadonlyArray<Package>
  readonly unnamed: ReadonlyArray<string>
}

/**
 * Finds every installed package of a repository, both lists sorted by path.
 *
 * Looks at the top level, below scopes, and in the `node_modules` of each package found. Symbolic links are
 * left out (npm links workspaces), and so is what starts with a dot (`.bin`, caches).
 */
export const findPackages = (root: string): Installed => {
  const directories = packageDirectories(root, "node_modules").sort(byCodeUnits)
  const found = directories.map((path) => readPackage(root, path))
  return {
    packages: found.filter((entry) => typeof entry !== "string"),
    unnamed: found.filter((entry) => typeof entry === "string")
  }
}

/** Writes packages as JSON Lines: the same packages are the same bytes. */
export const toJsonLines = (packages: ReadonlyArray<Package>): string =>
  packages.map(({ name, version, path }) => `${JSON.stringify({ name, version, path })}\n`).join("")

/** Orders strings by UTF-16 code units, the same under every locale. */
export const byCodeUnits = (left: string, right: string): number => left < right ? -1 : left > right ? 1 : 0

// internal

const packageDirectories = (root: string, modules: string): Array<string> =>
  subdirectories(root, modules).flatMap((entry) => {
    const path = `${modules}/${entry}`
    return entry.startsWith("@")
      ? subdirectories(root, path).flatMap((name) => withNested(root, `${path}/${name}`))
      : withNested(root, path)
  })

const withNested = (root: string, path: string): Array<string> => [
  path,
  ...packageDirectories(root, `${path}/node_modules`)
]

const subdirectories = (root: string, path: string): Array<string> => {
  const directory = Path.join(root, path)
  if (!Fs.existsSync(directory)) return []
  return Fs.readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map((entry) => entry.name)
}

const readPackage = (root: string, path: string): Package | string => {
  const manifest = readManifest(Path.join(root, path, "package.json"))
  const { name, version } = manifest
  return typeof name === "string" && typeof version === "string" ? { name, version, path } : path
}

const readManifest = (file: string): { readonly name?: unknown; readonly version?: unknown } => {
  try {
    return JSON.parse(Fs.readFileSync(file, "utf8")) ?? {}
  } catch {
    return {}
  }
}
