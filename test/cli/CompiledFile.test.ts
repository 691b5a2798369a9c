import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import * as CompiledFile from "../../packages/cli/src/CompiledFile.ts"
import { temporaryDirectory } from "../support/command-processes.ts"

interface Exports {
  readonly double: (value: number) => number
  readonly folder: string
}

const text = `
const path = require("node:path")
exports.double = (value) => value * 2
exports.folder = path.basename(__dirname)
`

const written = Effect.map(temporaryDirectory, (directory) => {
  const file = `${directory}/main.cjs`
  FileSystem.writeFileSync(file, text)
  return file
})

const kept = Effect.tap(
  written,
  (file) => Effect.promise(() => CompiledFile.keep<Exports>(file, async ({ double }) => void double(1)))
)

const check = (file: string) =>
  Effect.sync(() => {
    const { double, folder } = CompiledFile.load<Exports>(file)
    expect(double(4)).toBe(8)
    expect(file).toContain(`/${folder}/main.cjs`)
  })

describe("a compiled file", () => {
  it.scopedLive("is run as any file is, with nothing kept", () => Effect.flatMap(written, check))

  it.scopedLive("is run as any file is, with what was kept", () => Effect.flatMap(kept, check))

  it.scopedLive("is what its text says where that is not the one that was compiled", () =>
    Effect.gen(function*() {
      const file = yield* kept
      FileSystem.writeFileSync(file, `${text}exports.double = (value) => value + value + 1\n`)
      expect(CompiledFile.load<Exports>(file).double(4)).toBe(9)
    }))

  it.scopedLive("is compiled anew where what was kept is no such thing", () =>
    Effect.gen(function*() {
      const file = yield* kept
      FileSystem.writeFileSync(`${file}.cache`, "torn")
      yield* check(file)
    }))
})
