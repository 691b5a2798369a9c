import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import * as ModuleResolution from "../../packages/cli/src/run/ModuleResolution.ts"
import { temporaryDirectory } from "../support/command-processes.ts"

/** Makes a package of that name under a folder's `node_modules`, with an empty file for each of its modules. */
const install = (folder: string, name: string, ...modules: ReadonlyArray<string>) => {
  const directory = Path.join(folder, "node_modules", name)
  FileSystem.mkdirSync(directory, { recursive: true })
  const exports = { ".": "./index.js", "./*": "./*.js" }
  FileSystem.writeFileSync(Path.join(directory, "package.json"), JSON.stringify({ name, exports }))
  for (const module of ["index", ...modules]) {
    FileSystem.writeFileSync(Path.join(directory, `${module}.js`), "")
  }
  return directory
}

const project = Effect.map(temporaryDirectory, (directory) => {
  // The directory may itself be reached through a link.
  const folder = FileSystem.realpathSync(directory)
  const module = Path.join(folder, "app.js")
  FileSystem.writeFileSync(module, "")
  return { folder, module }
})

const resolved = (module: string) => Either.getOrThrow(ModuleResolution.resolve(module))

describe("a module to run", () => {
  it.scoped("is hosted by the packages that it would import itself", () =>
    Effect.gen(function*() {
      const { folder, module } = yield* project
      const persistence = install(folder, "@holdfast/persistence", "Host")
      install(folder, "effect")
      install(folder, "@holdfast/agents")
      expect(resolved(module)).toEqual({
        module: pathToFileURL(module).href,
        host: pathToFileURL(Path.join(persistence, "Host.js")).href,
        twice: []
      })
    }))

  it.scoped("is looked for where it really is, as Node does", () =>
    Effect.gen(function*() {
      const { folder, module } = yield* project
      install(folder, "@holdfast/persistence", "Host")
      const other = yield* temporaryDirectory
      const link = Path.join(other, "link.js")
      FileSystem.symlinkSync(module, link)
      expect(resolved(link)).toEqual(resolved(module))
    }))

  it.scoped("without such packages is hosted by those of the command", () =>
    Effect.gen(function*() {
      const { module } = yield* project
      expect(resolved(module).host).toMatch(/persistence\/(src\/Host\.ts|dist\/Host\.js)$/)
    }))

  it.scoped("names what it and its host have a copy of each", () =>
    Effect.gen(function*() {
      const { folder, module } = yield* project
      const persistence = install(folder, "@holdfast/persistence", "Host")
      const copies = [install(folder, "effect"), install(persistence, "effect")]
      expect(resolved(module).twice).toEqual([
        { name: "effect", copies: copies.map((copy) => Path.join(copy, "index.js")) }
      ])
    }))

  it.scoped("that is not there, or no file, is refused", () =>
    Effect.gen(function*() {
      const { folder } = yield* project
      expect(ModuleResolution.resolve(Path.join(folder, "none.js"))).toEqual(
        Either.left("there is no such file")
      )
      expect(ModuleResolution.resolve(folder)).toEqual(Either.left("it is not a file"))
    }))
})
