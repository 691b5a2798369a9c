import * as FileSystem from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const root = fileURLToPath(new URL("../..", import.meta.url))

const packages = ["core", "agents", "persistence"] as const

/**
 * Makes a `node_modules` as an installation has it: the packages compiled from the sources under test, without these, and
 * beside them what they depend on. The caller removes it.
 */
export const packedPackages = (): string => {
  const directory = FileSystem.mkdtempSync(Path.join(Os.tmpdir(), "holdfast-packed-"))
  const modules = Path.join(directory, "node_modules")
  for (const name of packages) pack(name, Path.join(modules, "@holdfast", name))
  for (const name of ["effect", "@effect", "better-sqlite3"]) {
    FileSystem.symlinkSync(Path.join(root, "node_modules", name), Path.join(modules, name))
  }
  return modules
}

const pack = (name: string, to: string): void => {
  const from = Path.join(root, "packages", name)
  FileSystem.mkdirSync(Path.join(to, "dist"), { recursive: true })
  FileSystem.copyFileSync(Path.join(from, "package.json"), Path.join(to, "package.json"))
  const sources = Path.join(from, "src")
  for (const file of FileSystem.readdirSync(sources, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts")) continue
    const target = Path.join(to, "dist", file.replace(/\.ts$/, ".js"))
    FileSystem.mkdirSync(Path.dirname(target), { recursive: true })
    FileSystem.writeFileSync(target, compiled(FileSystem.readFileSync(Path.join(sources, file), "utf8")))
  }
}

const compiled = (source: string): string =>
  ts.transpileModule(source, {
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2022,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true
    }
  }).outputText
