// Bundles the command into dist/: one entry with the chunk it loads when there is more to do than print the version, and
// the command host, by itself so that it holds no more than it needs.
import { build } from "esbuild"
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
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
  logLevel: "warning",
  // Some of what is bundled is CommonJS and asks for Node's own modules by require.
  banner: {
    js:
      `import { createRequire as requireFor } from "node:module"; const require = requireFor(import.meta.url);`
  }
}

const built = await Promise.all([
  build({ ...settings, entryPoints: [at("src/bin.ts")], splitting: true, chunkNames: "[name]" }),
  build({ ...settings, entryPoints: [at("src/command-host.ts")] })
])

const outputFiles = built.flatMap((result) => result.outputFiles)

// Each file in one step: a command may be starting now.
mkdirSync(outdir, { recursive: true })
for (const { contents, path } of outputFiles) {
  writeFileSync(`${path}.tmp`, contents)
  renameSync(`${path}.tmp`, path)
}

// A chunk of an earlier build would be packed with this one's.
const kept = new Set(outputFiles.map(({ path }) => path))
for (const file of readdirSync(outdir)) {
  if (file.endsWith(".js") && !kept.has(outdir + file)) rmSync(outdir + file)
}
