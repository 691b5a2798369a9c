import { describe, expect, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const root = fileURLToPath(new URL("../..", import.meta.url))
const guide = fs.readFileSync(`${root}/docs/guides/supervision.md`, "utf8")
const tsx = createRequire(import.meta.url).resolve("tsx/cli")

const snippets = Array.from(
  guide.matchAll(/^```ts\n([\s\S]*?)^```\n\n```text\n([\s\S]*?)^```/gm),
  ([, code = "", output = ""]) => ({ code, output })
)

describe("the supervision guide", () => {
  it("has an output beside each snippet", () => {
    expect(snippets.length).toBe(3)
    expect(guide.match(/^```ts$/gm)?.length).toBe(snippets.length)
  })

  for (const { code, output } of snippets) {
    it(`shows what a snippet prints: ${output.split("\n", 1)[0]}`, async () => {
      const { stderr, stdout } = await promisify(execFile)(process.execPath, [
        tsx,
        "--conditions=@holdfast/source",
        "--input-type=module",
        "--eval",
        code
      ], { cwd: root })
      expect(stderr).toBe("")
      expect(stdout).toBe(output)
    })
  }
})
