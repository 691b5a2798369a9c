/**
 * The agents of an inventory: a directory knows its files, a kind counts all files of one extension.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as Agent from "@holdfast/agents/Agent"
import * as DurableMap from "@holdfast/agents/DurableMap"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Path from "node:path"

const File = Schema.Struct({ bytes: Schema.Number, mtimeMillis: Schema.Number })
type File = typeof File.Type

const Size = Schema.Struct({ files: Schema.Number, bytes: Schema.Number })

/** How many files, and how large together. */
export type Size = typeof Size.Type

/** Counts the files whose extension is its id. What it is told are differences: each must arrive, and once. */
export const Kind = Agent.make("Kind", {
  protocol: [Rpc.make("Changed", { payload: Size }), Rpc.make("Count", { success: Size })],
  state: Size,
  initial: { files: 0, bytes: 0 }
})

/**
 * Knows the files of the directory whose path is its id.
 *
 * `Listed` says what is in it, and is answered with how many files are new, changed or gone since. A directory that is
 * gone is told that nothing is in it.
 */
export const Directory = Agent.make("Directory", {
  protocol: [
    Rpc.make("Listed", {
      payload: {
        files: Schema.ReadonlyMap({ key: Schema.String, value: File }),
        directories: Schema.Array(Schema.String)
      },
      success: Schema.Number
    })
  ],
  state: Schema.Struct({ directories: Schema.Array(Schema.String) }),
  initial: { directories: [] }
})

/** The files of one directory by name, stored one by one: what has not changed is not written. */
const Files = DurableMap.make("files", { key: Schema.String, value: File })

const kinds = Kind.toLayer({
  Changed: ({ bytes, files }, kind) =>
    kind.update((was) => ({ files: was.files + files, bytes: was.bytes + bytes })),
  Count: (_, kind) => kind.get
})

const directories = Directory.toLayer({
  Listed: (found, directory) =>
    Effect.gen(function*() {
      const files = DurableMap.of(directory, Files)
      const changes = changesOf(new Map(yield* Stream.runCollect(files.entries)), found.files)
      for (const { file, name } of changes) {
        yield* file === undefined
          ? files.remove(name)
          : files.set(name, file)
      }
      for (const [kind, size] of sizesOf(changes)) yield* directory.tell(Kind, kind).Changed(size)

      const known = (yield* directory.get).directories
      const gone = known.filter((name) => !found.directories.includes(name))
      for (const name of gone) {
        const path = Path.join(directory.self.id, name)
        yield* directory.tell(Directory, path).Listed({ files: new Map(), directories: [] })
      }
      if (known.join("/") !== found.directories.join("/")) {
        yield* directory.set({ directories: found.directories })
      }
      return changes.length
    })
})

/** Handles the messages of both. */
export const layer = Layer.merge(kinds, directories)

// internal

/** What a file was and is; nothing where there was or is none. */
interface Change {
  readonly name: string
  readonly was: File | undefined
  readonly file: File | undefined
}

const changesOf = (
  known: ReadonlyMap<string, File>,
  found: ReadonlyMap<string, File>
): ReadonlyArray<Change> =>
  Array.from(new Set([...known.keys(), ...found.keys()]), (name) => ({
    name,
    was: known.get(name),
    file: found.get(name)
  })).filter(({ file, was }) => file?.mtimeMillis !== was?.mtimeMillis || file?.bytes !== was?.bytes)

const sizesOf = (changes: ReadonlyArray<Change>): ReadonlyMap<string, Size> => {
  const sizes = new Map<string, Size>()
  for (const { file, name, was } of changes) {
    const kind = Path.extname(name) || "(none)"
    const { bytes, files } = sizes.get(kind) ?? { files: 0, bytes: 0 }
    sizes.set(kind, {
      files: files + Number(file !== undefined) - Number(was !== undefined),
      bytes: bytes + (file?.bytes ?? 0) - (was?.bytes ?? 0)
    })
  }
  return sizes
}
