/**
 * The command of the example: audits the packages installed in this repository. Runs compiled, from
 * `examples/dist/dependency-audit/run.js`.
 */
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { audit } from "./audit.ts"

const here = fileURLToPath(new URL(".", import.meta.url))
const root = Path.resolve(here, "../../..")

process.exitCode = await audit({
  root,
  out: Path.join(root, "examples/dependency-audit/out"),
  holdfast: Path.join(root, "packages/cli/bin/holdfast.js"),
  inspect: Path.join(here, "inspect.js"),
  print: (line) => process.stdout.write(`${line}\n`),
  signals: process,
  terminal: [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY)
})
