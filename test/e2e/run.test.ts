import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"
import { afterAll } from "vitest"
import { countOf, hosting, project, removeShared, waiting } from "../support/agent-places.ts"
import { eventually } from "../support/command-processes.ts"
import { linesOf } from "../support/holdfast.ts"

afterAll(removeShared)

const increment = (id: string, by: number) => ["agents", "tell", `Counter/${id}`, "Increment", `{"by":${by}}`]

describe("run", () => {
  it.scopedLive("hosts a module's agents, which handle what another process tells them, and says what it hosts", () =>
    Effect.gen(function*() {
      const at = yield* project
      const node = yield* hosting(at)
      expect(node.stderr()).toMatch(
        /^node [0-9a-f-]{36} hosts Counter on \.\/holdfast\.db; SIGINT or SIGTERM/
      )
      expect(yield* at.run(increment("a", 2))).toMatchObject({ exitCode: 0, stdout: "" })
      yield* eventually(() => countOf(at, "a") === 2)
      node.signal("SIGTERM")
      const ended = yield* node.ended
      expect(ended).toMatchObject({ exitCode: 130, stdout: "" })
      expect(ended.stderr).toContain("stopping: agents handle what they have")
      expect(ended.stderr).toContain("stopped; all is saved, and the same command goes on")
      const { nodes } = JSON.parse((yield* at.run(["ps", "--json"])).stdout)
      expect(nodes).toEqual([])
    }))

  it.scopedLive("killed with a message in hand goes on with it, and with what was told meanwhile", () =>
    Effect.gen(function*() {
      const at = yield* project
      const first = yield* hosting(at)
      yield* at.run(increment("a", 2))
      yield* at.run(["agents", "tell", "Counter/a", "Await"])
      yield* eventually(() => at.lines("said").length === 1)
      first.signal("SIGKILL")
      yield* first.ended
      expect((yield* at.run(increment("a", 3))).stderr).toBe(
        "Increment to Counter/a: queued; no node runs now\n"
      )
      at.write("go", "")
      const second = yield* hosting(at)
      yield* eventually(() => countOf(at, "a") === 105 && waiting(at, "a") === 0)
      expect(at.lines("said")).toEqual(["awaiting", "awaiting"])
      second.signal("SIGINT")
      expect((yield* second.ended).exitCode).toBe(130)
    }))

  it.scopedLive("asked to stop lets agents handle what they have first", () =>
    Effect.gen(function*() {
      const at = yield* project
      const node = yield* hosting(at)
      yield* at.run(["agents", "tell", "Counter/a", "Await"])
      yield* eventually(() => at.lines("said").length === 1)
      node.signal("SIGTERM")
      yield* eventually(() => node.stderr().includes("stopping"))
      at.write("go", "")
      expect((yield* node.ended).exitCode).toBe(130)
      expect(countOf(at, "a")).toBe(100)
      expect(waiting(at, "a")).toBe(0)
    }))

  it.scopedLive("asked twice stops at once, and what was in hand runs again", () =>
    Effect.gen(function*() {
      const at = yield* project
      const node = yield* hosting(at)
      yield* at.run(["agents", "tell", "Counter/a", "Await"])
      yield* eventually(() => at.lines("said").length === 1)
      node.signal("SIGINT")
      yield* eventually(() => node.stderr().includes("stopping"))
      node.signal("SIGINT")
      expect((yield* node.ended).exitCode).toBe(130)
      expect(countOf(at, "a")).toBeNull()
      at.write("go", "")
      const next = yield* hosting(at)
      yield* eventually(() => countOf(at, "a") === 100)
      next.signal("SIGTERM")
      yield* next.ended
    }))

  it.scopedLive("ends though the module has left something open, and writes what it hosts as JSON", () =>
    Effect.gen(function*() {
      const at = yield* project
      at.write(
        "open.js",
        `import * as http from "node:http"\nhttp.createServer().listen(0)\nexport { layer as default } from "./app.js"`
      )
      const node = at.start(["run", "open.js", "--json", "--db", "other.db"])
      yield* eventually(() => node.stdout() !== "")
      node.signal("SIGTERM")
      const ended = yield* node.ended
      expect(ended.exitCode).toBe(130)
      const [hosted] = linesOf(ended.stdout).map((line) => JSON.parse(line))
      expect(hosted).toMatchObject({ module: "open.js", db: "other.db", pid: node.pid, agents: ["Counter"] })
    }))

  it.scopedLive("hosts a TypeScript module where Node is given a loader", () =>
    Effect.gen(function*() {
      const at = yield* project
      at.write(
        "typed.ts",
        `import { layer as untyped } from "./app.js"\nexport const layer: object = untyped\n`
      )
      const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href
      const node = at.start(["run", "typed.ts"], { env: { NODE_OPTIONS: `--import ${loader}` } })
      yield* eventually(() => node.stderr().includes("hosts Counter"))
      yield* at.run(increment("a", 2))
      yield* eventually(() => countOf(at, "a") === 2)
      node.signal("SIGTERM")
      expect((yield* node.ended).exitCode).toBe(130)
    }))
})

describe("run refuses, before anything is started,", () => {
  const refused: ReadonlyArray<readonly [what: string, file: string, text: string, reason: string]> = [
    ["a file that is not there", "nowhere.js", "", "there is no such file"],
    ["a folder", ".", "", "it is not a file"],
    [
      "a module that exports nothing",
      "m.js",
      "",
      `it exports nothing; export a Layer as "layer", or by default`
    ],
    ["one that exports something else", "m.js", "export const a = 1, b = 2", "it exports only a, b; export"],
    [
      "an agent",
      "m.js",
      `export default { _tag: "Agent" }`,
      `"default" is the definition of an agent (its toLayer`
    ],
    ["a function", "m.js", "export const layer = () => 1", `its export "layer" is a function, not a Layer`],
    ["a module that does not parse", "m.js", "export const layer =", "SyntaxError"],
    ["a module that throws", "m.js", `throw new Error("not today")`, "not today"],
    ["a module whose import is missing", "m.js", `import "nowhere"`, "nowhere"],
    ["a file that Node does not read", "m.tsx", "export const layer = 1", "Node"]
  ]

  it.scopedLive.each(refused)("%s", ([, file, text, reason]) =>
    Effect.gen(function*() {
      const at = yield* project
      if (file.startsWith("m.")) at.write(file, text)
      const ended = yield* at.run(["run", file])
      expect(ended).toMatchObject({ exitCode: 2, stdout: "" })
      expect(ended.stderr).toContain(`holdfast: ${file}: `)
      expect(ended.stderr).toContain(reason)
      expect(FileSystem.existsSync(at.file("holdfast.db"))).toBe(false)
    }))
})

describe("run says why", () => {
  const failing = (layer: string) =>
    `import * as Layer from "effect/Layer"\nimport * as Effect from "effect/Effect"\n` +
    `import * as Context from "effect/Context"\nexport const layer = ${layer}\n`

  const failures: ReadonlyArray<readonly [what: string, layer: string, reason: string]> = [
    [
      "a layer failed",
      `Layer.effectDiscard(Effect.fail({ _tag: "NoKey", message: "the key is missing" }))`,
      "NoKey: the key is missing"
    ],
    ["a layer died", `Layer.effectDiscard(Effect.die(new Error("a bug")))`, "a bug"],
    ["a layer lacks a service", `Layer.effectDiscard(Context.GenericTag("Mailer"))`, "Mailer"]
  ]

  it.scopedLive.each(failures)("%s, with exit code 1", ([, layer, reason]) =>
    Effect.gen(function*() {
      const at = yield* project
      at.write("m.js", failing(layer))
      const ended = yield* at.run(["run", "m.js"])
      expect(ended.exitCode).toBe(1)
      expect(ended.stderr).toContain("holdfast: m.js: its layer could not be built: ")
      expect(ended.stderr).toContain(reason)
    }))

  it.scopedLive("storage cannot be used, with exit code 3", () =>
    Effect.gen(function*() {
      const at = yield* project
      at.write("holdfast.db", "something else, and long enough to be no SQLite database at all".repeat(20))
      const ended = yield* at.run(["run", "app.js"])
      expect(ended.exitCode).toBe(3)
      expect(ended.stderr).toContain("holdfast: ./holdfast.db: ")
    }))

  it.scopedLive("the module finds no host, with exit code 2", () =>
    Effect.gen(function*() {
      const at = yield* project
      FileSystem.unlinkSync(at.file("node_modules"))
      const ended = yield* at.run(["run", "app.js"])
      expect(ended.exitCode).toBe(2)
      expect(ended.stderr).toMatch(/npm install|Cannot find package/)
    }))
})
