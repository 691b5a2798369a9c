/**
 * An inventory walks a directory tree, says what it has found to its agents, and reads off their counts.
 */
import type { AgentError } from "@holdfast/agents/AgentError"
import type { AgentRuntime } from "@holdfast/agents/AgentRuntime"
import { AgentStore } from "@holdfast/agents/AgentStore"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { settled } from "../support/settled.ts"
import { Directory, Kind, type Size } from "./agents.ts"

/** Says that a directory could not be read; what was found before is kept. Remedy: see `reason`, then run it again. */
export class Unreadable
  extends Data.TaggedError("Unreadable")<{ readonly path: string; readonly reason: string }>
{
  override get message(): string {
    return `${this.path} cannot be read: ${this.reason}`
  }
}

/** What an inventory came to: how many files are new, changed or gone since the last one, and what there is by kind. */
export interface Report {
  readonly changes: number
  readonly kinds: ReadonlyMap<string, Size>
}

/** Takes the inventory of a tree. Symbolic links are left out. */
export const take = (
  root: string
): Effect.Effect<Report, AgentError | Unreadable, AgentRuntime | AgentStore> =>
  Effect.gen(function*() {
    const store = yield* AgentStore
    const kind = yield* Kind.client
    yield* settled
    const changes = yield* walk([Path.resolve(root)])
    yield* settled
    const rows = yield* store.list({ type: Kind.name, limit: 10_000 })
    const counted = yield* Effect.forEach(rows, ({ id }) =>
      Effect.map(kind(id).Count(), (size) => [id, size] as const))
    return {
      changes,
      kinds: new Map(counted.filter(([, { files }]) =>
        files > 0
      ))
    }
  })

// internal

/** Says what is in these directories, and then what is in those below them; yields how many files have changed. */
const walk = (paths: ReadonlyArray<string>): Effect.Effect<number, AgentError | Unreadable, AgentRuntime> =>
  Effect.gen(function*() {
    if (paths.length === 0) return 0
    const visited = yield* Effect.forEach(paths, visit, { concurrency: 16 })
    const inside = yield* walk(visited.flatMap(({ inside }) => inside))
    return visited.reduce((sum, { changes }) => sum + changes, inside)
  })

const visit = (path: string) =>
  Effect.gen(function*() {
    const { directories, files } = yield* Effect.tryPromise({
      try: () => list(path),
      catch: (error) => new Unreadable({ path, reason: String(error) })
    })
    const directory = yield* Directory.client
    const changes = yield* directory(path).Listed({ files, directories })
    return { changes, inside: directories.map((name) => Path.join(path, name)) }
  })

const list = async (path: string) => {
  const entries = await Fs.readdir(path, { withFileTypes: true })
  const stats = entries.filter((entry) => entry.isFile()).map(async ({ name }) => {
    const { mtimeMs, size } = await Fs.lstat(Path.join(path, name))
    return [name, { bytes: size, mtimeMillis: mtimeMs }] as const
  })
  const directories = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name).sort()
  return { files: new Map(await Promise.all(stats)), directories }
}
