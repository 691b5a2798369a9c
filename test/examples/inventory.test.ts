import { describe, expect, it } from "@effect/vitest"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import { AgentStore } from "@holdfast/agents/AgentStore"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Agents from "../../examples/inventory/agents.ts"
import * as Inventory from "../../examples/inventory/inventory.ts"
import { eventually } from "../support/command-processes.ts"
import { exampleCommand, runExample } from "../support/examples.ts"
import type { Place } from "../support/holdfast.ts"
import { place } from "../support/holdfast.ts"

/** Takes the inventory of the directory `tree` of a place, in a runtime of its own. */
const take = (at: Place) => inStorage(at, Inventory.take(at.file("tree")))

const inStorage = <A, E>(at: Place, program: Effect.Effect<A, E, AgentRuntime.AgentRuntime | AgentStore>) =>
  Effect.provide(
    program,
    Agents.layer.pipe(
      Layer.provideMerge(AgentRuntime.layer),
      Layer.provideMerge(Sqlite.layer({ filename: at.file("inventory.db") }))
    )
  )

const write = (at: Place, name: string, content: string) => {
  FileSystem.mkdirSync(at.file(Path.dirname(`tree/${name}`)), { recursive: true })
  at.write(`tree/${name}`, content)
}

/** How often each agent has committed. */
const versions = (at: Place) =>
  inStorage(at, Effect.flatMap(AgentStore, (store) => store.list({ limit: 1_000 }))).pipe(
    Effect.map((rows) => rows.map(({ id, version }) => `${id} ${version}`))
  )

const threeFiles = Effect.tap(place, (at) => {
  write(at, "a.txt", "12345")
  write(at, "below/b.txt", "123")
  write(at, "below/deep/c.md", "1")
  FileSystem.symlinkSync("a.txt", at.file("tree/link.txt"))
})

describe("an inventory", () => {
  it.scopedLive("counts the files of a tree by their extension, and writes nothing where nothing has changed", () =>
    Effect.gen(function*() {
      const at = yield* threeFiles
      const { changes, kinds } = yield* take(at)
      expect(changes).toBe(3)
      expect(Array.from(kinds)).toEqual([[".md", { files: 1, bytes: 1 }], [".txt", { files: 2, bytes: 8 }]])
      const before = yield* versions(at)
      expect(yield* take(at)).toEqual({ changes: 0, kinds })
      expect(yield* versions(at)).toEqual(before)
    }))

  it.scopedLive("applies what is new, changed and gone", () =>
    Effect.gen(function*() {
      const at = yield* threeFiles
      yield* take(at)
      write(at, "a.txt", "123456789")
      write(at, "new/d", "12")
      FileSystem.rmSync(at.file("tree/below/b.txt"))
      const { changes, kinds } = yield* take(at)
      expect(changes).toBe(3)
      expect(Array.from(kinds)).toEqual([
        ["(none)", { files: 1, bytes: 2 }],
        [".md", { files: 1, bytes: 1 }],
        [".txt", { files: 1, bytes: 9 }]
      ])
    }))

  it.scopedLive("forgets a directory that is gone with all below it, and knows it anew when it is back", () =>
    Effect.gen(function*() {
      const at = yield* threeFiles
      const { kinds } = yield* take(at)
      FileSystem.renameSync(at.file("tree/below"), at.file("elsewhere"))
      const without = yield* take(at)
      expect(Array.from(without.kinds)).toEqual([[".txt", { files: 1, bytes: 5 }]])
      FileSystem.renameSync(at.file("elsewhere"), at.file("tree/below"))
      expect(yield* take(at)).toEqual({ changes: 2, kinds })
    }))

  it.scopedLive("names the directory that it could not read", () =>
    Effect.gen(function*() {
      const at = yield* place
      const error = yield* Effect.flip(take(at))
      expect(error).toMatchObject({ _tag: "Unreadable", path: at.file("tree") })
    }))
})

describe("the inventory's command", () => {
  it.scopedLive("killed with SIGKILL while it walks, counts each file once when it is run again", () =>
    Effect.gen(function*() {
      const at = yield* place
      for (let n = 0; n < 1_000; n++) write(at, `d-${n % 200}/${n}.txt`, "1")
      const storedBytes = () =>
        FileSystem.statSync(at.file("inventory.db-wal"), { throwIfNoEntry: false })?.size ?? 0
      const run = at.start([], { wrap: () => exampleCommand("inventory", "tree", "inventory.db") })
      yield* Effect.raceFirst(eventually(() => storedBytes() > 600_000), run.ended)
      run.signal("SIGKILL")
      expect((yield* run.ended).signal).toBe("SIGKILL")
      const { exitCode, stdout } = yield* runExample(at, "inventory", "tree", "inventory.db")
      expect(exitCode).toBe(0)
      const [, changes] = /^\.txt +1000 files, 1000 bytes\n(\d+) files were new/.exec(stdout) ?? []
      expect(Number(changes)).toBeGreaterThan(0)
      expect(Number(changes)).toBeLessThan(1_000)
      const again = yield* runExample(at, "inventory", "tree", "inventory.db")
      expect(again.stdout).toContain("\n0 files were new, changed or gone\n")
    }))
})
