import { describe, expect, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

const filesUnder = (folder: string): ReadonlyArray<string> =>
  fs.readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
    .map((file) => path.join(folder, file))
    .filter((file) => file.endsWith(".ts"))

const read = (file: string): string => fs.readFileSync(path.join(root, file), "utf8")

const withoutComments = (text: string): string =>
  text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "")

const importsOf = (file: string): ReadonlyArray<string> =>
  Array.from(
    withoutComments(read(file)).matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g),
    (match) => match[1] ?? ""
  )

const floors = ["core", "agents", "persistence", "cli"] as const

const sources = floors.flatMap((floor) =>
  filesUnder(`packages/${floor}/src`).map((file) => ({ floor, file }))
)

/** The modules of core that need Node: they, and what only they use, are behind `@holdfast/core/node`. */
const coreNodeModules = new Set(["node.ts", "ProcessMarker.ts", "ProcessTable.ts", "SystemCommand.ts"])

const usedOutside: Readonly<Record<(typeof floors)[number], RegExp>> = {
  core: /^(effect|@effect\/platform)\//,
  agents:
    /^(effect|@effect\/platform|@effect\/rpc)\/|^@holdfast\/core\/(?!node|ProcessMarker|ProcessTable|SystemCommand)/,
  persistence:
    /^effect\/|^@effect\/(sql\/|experimental\/Reactivity$)|^better-sqlite3$|^node:|^@holdfast\/(core|agents)\//,
  cli: /^effect\/|^@effect\/(cli|platform|platform-node)\/|^node:|^@holdfast\/(core|agents|persistence)\//
}

describe("architecture", () => {
  it("imports only from the floors below, by module", () => {
    const wrong = sources.flatMap(({ file, floor }) => {
      const node = floor === "core" &&
        (coreNodeModules.has(path.basename(file)) || file.includes("/internal/"))
      return importsOf(file)
        .filter((name) =>
          !name.startsWith(".") && !usedOutside[floor].test(name) && !(node && name.startsWith("node:"))
        )
        .map((name) => `${file} imports ${name}`)
    })
    expect(wrong).toEqual([])
    expect(sources.length).toBeGreaterThan(60)
  })

  it("keeps Node out of what core's index reaches", () => {
    const reached = new Set<string>()
    const visit = (file: string): void => {
      if (reached.has(file)) return
      reached.add(file)
      importsOf(file).filter((name) => name.startsWith("."))
        .forEach((name) => visit(path.join(path.dirname(file), name)))
    }
    visit("packages/core/src/index.ts")
    const wrong = Array.from(reached).flatMap((file) =>
      importsOf(file).filter((name) => name.startsWith("node:")).map((name) => `${file} imports ${name}`)
    )
    expect(wrong).toEqual([])
    expect(reached.size).toBeGreaterThan(10)
  })

  it("exports every public module from its package's index", () => {
    const missing = (["core", "agents", "persistence"] as const).flatMap((floor) => {
      const index = read(`packages/${floor}/src/index.ts`) +
        (floor === "core" ? read("packages/core/src/node.ts") : "")
      return fs.readdirSync(path.join(root, `packages/${floor}/src`))
        .filter((file) => file.endsWith(".ts") && file !== "index.ts" && file !== "node.ts")
        .filter((file) => !index.includes(`export * as ${path.basename(file, ".ts")} from "./${file}"`))
        .map((file) => `${floor}/${file}`)
    })
    expect(missing).toEqual([])
  })

  const listed: ReadonlyArray<readonly [string, RegExp, ReadonlyArray<string>]> = [
    [
      "whole causes are caught only where exits are classified",
      /\b(catchAllCause|catchAllDefect|sandbox|catchSomeCause|catchSomeDefect|tapErrorCause)\b|Effect\.ignore\b/,
      // Retry looks for a defect beside a failure, so that the defect is not retried away.
      ["packages/core/src/Retry.ts"]
    ],
    [
      "fibers are started outside supervision only where the program starts",
      /\b(runFork|forkDaemon|unsafeFork|runPromise|runPromiseExit|runSync|runCallback)\b/,
      // A supervisor's children are daemons so that it, and not their parent's end, decides when they stop. The command
      // host is a program of its own, and so is what hosts a module, apart from the command that is bundled. An agent's
      // message has a fiber of its own, which the runtime supervises.
      [
        "packages/core/src/internal/ChildRun.ts",
        "packages/agents/src/internal/AgentHost.ts",
        "packages/agents/src/internal/HostedAgent.ts",
        "packages/persistence/src/Host.ts",
        "packages/cli/src/command-host.ts",
        "packages/cli/src/main.ts"
      ]
    ],
    ["timers are Effect's", /\b(setTimeout|setInterval)\b/, []],
    ["types have no holes", /\bas any\b|@ts-(ignore|nocheck|expect-error)|: any\b|<any>/, []]
  ]

  for (const [title, pattern, allowed] of listed) {
    it(title, () => {
      const found = sources.map(({ file }) => file).filter((file) =>
        pattern.test(withoutComments(read(file)))
      )
      expect(found).toEqual(allowed)
    })
  }

  it("skips and focuses no test", () => {
    const found = filesUnder("test").filter((file) => file !== "test/architecture.test.ts")
      .filter((file) => /\.(skip|only|todo|skipIf|runIf)\b/.test(read(file)))
    expect(found).toEqual([])
  })

  it("names no machine in the lockfile", () => {
    const addresses = Array.from(
      read("package-lock.json").matchAll(/"resolved": "(https?:[^"]+)"/g),
      (match) => match[1]
    )
    expect(addresses.filter((address) => address?.startsWith("https://registry.npmjs.org/") === false))
      .toEqual([])
  })

  it("gives all packages one version", () => {
    const manifest = (folder: string) => JSON.parse(read(`${folder}/package.json`))
    const versions = [".", ...floors.map((floor) => `packages/${floor}`)].map((folder) =>
      manifest(folder).version
    )
    expect(new Set(versions).size).toBe(1)
    for (const floor of floors) {
      const dependencies: Record<string, string> = manifest(`packages/${floor}`).dependencies ?? {}
      for (const [name, version] of Object.entries(dependencies)) {
        if (name.startsWith("@holdfast/")) expect(version).toBe(versions[0])
      }
    }
  })
})
