/**
 * The command of the example: `run.js [DIRECTORY] [FILE]` takes the inventory of a directory, kept in a file.
 */
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Agents from "./agents.ts"
import * as Inventory from "./inventory.ts"

const [directory = ".", filename = "inventory.db"] = process.argv.slice(2)

const agents = Agents.layer.pipe(
  Layer.provideMerge(AgentRuntime.layer),
  Layer.provideMerge(Sqlite.layer({ filename }))
)

const { changes, kinds } = await Effect.runPromise(Effect.provide(Inventory.take(directory), agents))

for (const [kind, { bytes, files }] of Array.from(kinds).sort(([, a], [, b]) => b.bytes - a.bytes)) {
  process.stdout.write(`${kind.padEnd(16)}${files} files, ${bytes} bytes\n`)
}
process.stdout.write(`${changes} files were new, changed or gone\n`)
