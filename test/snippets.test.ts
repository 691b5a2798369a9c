import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const directory = path.join(root, "test/.snippets")
const require = createRequire(import.meta.url)
const read = (file: string): string => fs.readFileSync(path.join(root, file), "utf8")

/** A snippet, where it stands, and what it is said to print where that follows it. */
interface Snippet {
  readonly file: string
  readonly from: string
  readonly code: string
  readonly output: string | undefined
}

const filesUnder = (folder: string, ending: string): ReadonlyArray<string> =>
  fs.readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(ending))
    .map((file) => `${folder}/${file}`)

const toFile = (from: string, index: number): string =>
  path.join(directory, `${from.replaceAll(/[^\w]+/g, "-")}-${index}.ts`)

const inGuides: ReadonlyArray<Snippet> = filesUnder("docs/guides", ".md").flatMap((from) =>
  Array.from(
    read(from).matchAll(/^```ts\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```)?/gm),
    ([, code = "", output], index) => ({ file: toFile(from, index), from, code, output })
  )
)

const inDocstrings: ReadonlyArray<Snippet> = ["core", "agents", "persistence"]
  .flatMap((name) => filesUnder(`packages/${name}/src`, ".ts"))
  .flatMap((from) =>
    Array.from(read(from).matchAll(/@example\n([\s\S]*?)\*\//g), ([, text = ""], index) => ({
      file: toFile(from, index),
      from,
      code: text.replaceAll(/^ *\* ?/gm, "").replaceAll(/^```(ts)?$/gm, ""),
      output: undefined
    }))
  )

const execute = (command: string, args: ReadonlyArray<string>) =>
  Effect.async<{ readonly code: number; readonly stdout: string; readonly stderr: string }>((resume) => {
    execFile(command, args, { cwd: root }, (error, stdout, stderr) => {
      resume(Effect.succeed({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }))
    })
  })

const runSnippet = ({ file }: Snippet) =>
  execute(process.execPath, ["--conditions=@holdfast/source", "--import", require.resolve("tsx"), file])

const written = Effect.sync(() => {
  fs.rmSync(directory, { recursive: true, force: true })
  fs.mkdirSync(directory)
  for (const { code, file } of [...inGuides, ...inDocstrings]) fs.writeFileSync(file, code)
  const compilerOptions = {
    composite: false,
    declaration: false,
    declarationMap: false,
    sourceMap: false,
    noEmit: true,
    noUnusedLocals: false,
    allowImportingTsExtensions: true,
    rewriteRelativeImportExtensions: false
  }
  const files = [...inGuides, ...inDocstrings].map(({ file }) => file)
  const config = { extends: "../../tsconfig.base.json", compilerOptions, files }
  fs.writeFileSync(path.join(directory, "tsconfig.json"), JSON.stringify(config))
})

describe("snippets", () => {
  it.scopedLive("of the guides and of the docstrings compile, and those of the guides run and print what they say", () =>
    Effect.gen(function*() {
      yield* Effect.acquireRelease(
        written,
        () => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
      )
      const checked = yield* execute(process.execPath, [
        require.resolve("typescript/bin/tsc"),
        "-p",
        directory
      ])
      expect(checked.stdout).toBe("")
      const ran = yield* Effect.forEach(
        inGuides,
        (snippet) => Effect.map(runSnippet(snippet), (result) => ({ snippet, result })),
        { concurrency: 2 }
      )
      for (const { result, snippet } of ran) {
        const { code, stderr, stdout } = result
        const output = snippet.output ?? stdout
        expect({ from: snippet.from, code, stderr, stdout })
          .toEqual({ from: snippet.from, code: 0, stderr: "", stdout: output })
      }
      expect(inDocstrings.length).toBeGreaterThan(10)
    }))
})
