// Bundles the command into dist/: `bin.js`, the command line that it loads when there is more to do than print the version,
// with what V8 compiles of that, and the command host, by itself so that it holds no more than it needs.
import { build } from "esbuild"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const at = (path) => fileURLToPath(new URL(path, import.meta.url))

const outdir = at("dist/")

const settings = {
  outdir,
  write: false,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  conditions: ["@holdfast/source"],
  external: ["better-sqlite3"],
  minifyWhitespace: true,
  minifySyntax: true,
  logLevel: "warning"
}

const built = await Promise.all([
  build({ ...settings, entryPoints: ["src/bin.ts", "src/keep.ts", "src/command-host.ts"].map(at) }),
  build({
    ...settings,
    entryPoints: [at("src/main.ts")],
    format: "cjs",
    outExtension: { ".js": ".cjs" },
    define: { "import.meta.url": "importMetaUrl" },
    banner: { js: `const importMetaUrl = require("node:url").pathToFileURL(__filename).href;` }
  })
])

const outputFiles = built.flatMap((result) => result.outputFiles)

// Each file in one step: a command may be starting now, which must not find what was compiled of another text.
mkdirSync(outdir, { recursive: true })
rmSync(`${outdir}main.cjs.cache`, { force: true })
for (const { contents, path } of outputFiles) {
  writeFileSync(`${path}.tmp`, contents)
  renameSync(`${path}.tmp`, path)
}

const scratch = mkdtempSync(join(tmpdir(), "holdfast-bundle-"))
const kept = spawnSync(process.execPath, [`${outdir}keep.js`, join(scratch, "empty.db")], {
  encoding: "utf8"
})
rmSync(scratch, { recursive: true })
if (kept.status !== 0) throw new Error(`The bundle does not run: ${kept.stderr}`)

// What only the build needs, and files of an earlier one, would be packed.
const packed = new Set(outputFiles.map(({ path }) => path).filter((path) => path !== `${outdir}keep.js`))
for (const file of readdirSync(outdir)) {
  if (/\.c?js$/.test(file) && !packed.has(outdir + file)) rmSync(outdir + file)
}
