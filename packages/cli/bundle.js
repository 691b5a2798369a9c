// Bundles the command into dist/: one entry, and the chunk it loads when there is more to do than print the version.
import { build } from "esbuild"
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const at = (path) => fileURLToPath(new URL(path, import.meta.url))

const entry = at("src/bin.ts")

const outdir = at("dist/")

const { outputFiles } = await build({
  entryPoints: [entry],
  outdir,
  write: false,
  bundle: true,
  splitting: true,
  chunkNames: "[name]",
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
})

// Each file in one step: a command may be starting now.
mkdirSync(outdir, { recursive: true })
for (const { contents, path } of outputFiles) {
  writeFileSync(`${path}.tmp`, contents)
  renameSync(`${path}.tmp`, path)
}

// A chunk of an earlier build would be packed with this one's.
const built = new Set(outputFiles.map(({ path }) => path))
for (const file of readdirSync(outdir)) {
  if (file.endsWith(".js") && !built.has(outdir + file)) rmSync(outdir + file)
}
