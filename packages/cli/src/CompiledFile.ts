/**
 * A compiled file is a CommonJS bundle beside which lies what V8 has compiled of it, so that it is not parsed again.
 *
 * It may `require`, and not `import()`: what it is to import, it is given a function for.
 */
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import * as vm from "node:vm"

/** Runs a file and yields what it exports. What another version of V8 has compiled, or of another text, is passed over. */
export const load = <A>(file: string): A => run<A>(file, compile(file, readIfPresent(keptOf(file))))

/** Runs a file, does something with what it exports, and keeps what was compiled until then. */
export const keep = async <A>(file: string, use: (exports: A) => Promise<void>): Promise<void> => {
  const script = compile(file)
  await use(run(file, script))
  fs.writeFileSync(keptOf(file), script.createCachedData())
}

// internal

const keptOf = (file: string): string => `${file}.cache`

const readIfPresent = (file: string): Buffer | undefined =>
  fs.existsSync(file) ? fs.readFileSync(file) : undefined

const compile = (filename: string, cachedData?: Buffer): vm.Script => {
  const text = fs.readFileSync(filename, "utf8")
  return new vm.Script(`(function (exports, require, module, __filename, __dirname) {${text}\n})`, {
    filename,
    ...(cachedData === undefined ? {} : { cachedData })
  })
}

const run = <A>(file: string, script: vm.Script): A => {
  const module = { exports: {} }
  script.runInThisContext()(module.exports, createRequire(file), module, file, path.dirname(file))
  return module.exports as A
}
