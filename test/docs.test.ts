import { describe, expect, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const read = (file: string): string => fs.readFileSync(path.join(root, file), "utf8")

const documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].concat(
  fs.readdirSync(path.join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md")).map((file) => `docs/${file}`)
)

const blocks = (text: string, language: string): ReadonlyArray<string> =>
  Array.from(
    text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "gm")),
    (match) => match[1] ?? ""
  )

describe("documentation", () => {
  it("shows the quickstart as it is, in at most 40 lines", () => {
    const example = read("examples/quickstart/mails.ts")
    expect(blocks(read("README.md"), "ts")).toEqual([example])
    expect(example.split("\n").length).toBeLessThanOrEqual(41)
  })

  it("runs the quickstart, and again where it left off", () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-docs-"))
    try {
      const run = () =>
        spawnSync(
          process.execPath,
          [
            "--conditions=@holdfast/source",
            "--import",
            createRequire(import.meta.url).resolve("tsx"),
            path.join(root, "examples/quickstart/mails.ts")
          ],
          { cwd: directory, encoding: "utf8" }
        )
      const first = run()
      expect(first.stderr).toBe("")
      expect(first.stdout.split("\n").sort()).toEqual(
        ["", "2 sent, 1 given up", "sent to ann@example.org", "sent to bob@example.org"]
      )
      expect(run().stdout).toBe("2 sent, 1 given up\n")
    } finally {
      fs.rmSync(directory, { recursive: true })
    }
  })

  it("names commands that exist", () => {
    const scripts = Object.keys(JSON.parse(read("package.json")).scripts)
    const named = documents.flatMap((file) =>
      Array.from(read(file).matchAll(/npm run ([\w:]+)/g), (match) => match[1] ?? "")
    )
    expect(named.filter((name) => !scripts.includes(name))).toEqual([])
    expect(named).toContain("check")
    expect(read(".ci/run")).toContain("npm run check")
  })

  it("documents every option of the batch command", () => {
    const help =
      spawnSync(process.execPath, [path.join(root, "packages/cli/bin/holdfast.js"), "batch", "--help"], {
        encoding: "utf8"
      }).stdout
    const options = new Set(Array.from(help.matchAll(/--([a-z-]+)/g), (match) => match[0]))
    // The command line's own, and those of the user's command in an example.
    const others = new Set([
      "--help",
      "--version",
      "--completions",
      "--log-level",
      "--wizard",
      "--id",
      "--path"
    ])
    const undocumented = Array.from(options).filter((name) =>
      !others.has(name) && !read("docs/guides/batch.md").includes(`\`${name}`)
    )
    expect(undocumented).toEqual([])
    expect(options.size).toBeGreaterThan(15)
  })

  it("links to files that exist", () => {
    const broken = documents.flatMap((file) =>
      Array.from(read(file).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g), (match) => match[1] ?? "")
        .filter((target) => !fs.existsSync(path.join(root, path.dirname(file), target)))
        .map((target) => `${file} -> ${target}`)
    )
    expect(broken).toEqual([])
  })

  it("keeps ARCHITECTURE.md within 200 lines and names only modules that exist", () => {
    const text = read("ARCHITECTURE.md")
    expect(text.split("\n").length).toBeLessThanOrEqual(200)
    const paths = Array.from(text.matchAll(/`(packages\/[\w/.-]+\.ts)`/g), (match) => match[1] ?? "")
    expect(paths.filter((file) => !fs.existsSync(path.join(root, file)))).toEqual([])
    expect(paths.length).toBeGreaterThan(2)
  })
})
