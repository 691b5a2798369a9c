import { createRequire } from "node:module"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import type { Place } from "./holdfast.ts"

const tsx = createRequire(import.meta.url).resolve("tsx")

/** The command line that runs an example from source. */
export const exampleCommand = (name: string, ...args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const file = fileURLToPath(new URL(`../../examples/${name}/run.ts`, import.meta.url))
  return [execPath, "--conditions=@holdfast/source", "--import", tsx, file, ...args]
}

/** Runs an example to its end, in a place. */
export const runExample = (at: Place, name: string, ...args: ReadonlyArray<string>) =>
  at.run([], { wrap: () => exampleCommand(name, ...args) })
