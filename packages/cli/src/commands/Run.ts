/**
 * `holdfast run`: hosts the agents of a module.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Effect from "effect/Effect"
import process from "node:process"
import { Output } from "../Output.ts"
import { db, json } from "./Shared.ts"

/** Imports a module by its URL. */
export type Load = (url: string) => Promise<unknown>

const module = Args.text({ name: "MODULE" }).pipe(
  Args.withDescription(
    "A file that exports a Layer as \"layer\", or by default: JavaScript, or what else Node reads"
  )
)

const description = HelpDoc.blocks([
  HelpDoc.p(
    "Runs the Layer that a module exports, on the database, until SIGINT or SIGTERM; agents then handle what they have, " +
      "and all is saved. A second signal stops at once. After any end, kill -9 too, the same command goes on."
  ),
  HelpDoc.p(
    "The Layer may require AgentRuntime, AgentStore, CommitLog, TaskStore, RecordStore and SqlClient. The module's own " +
      "@holdfast/persistence and effect are used, as Node finds them from its folder."
  ),
  HelpDoc.p("holdfast run app.js"),
  HelpDoc.p("NODE_OPTIONS=\"--import tsx\" holdfast run app.ts --db bank.db")
])

/** `holdfast run`, which imports modules by `load`. */
export const runCommand = (load: Load) =>
  Command.make("run", { db, json, module }, (options) =>
    Effect.gen(function*() {
      // What only this command needs.
      const runner = yield* Effect.promise(() => import("../run/RunModule.ts"))
      const { exitCode, message } = yield* Effect.flip(runner.run({ ...options, load }))
      const output = yield* Output
      if (message !== "") yield* output.say(`holdfast: ${message}`)
      // A server or a timer that the module has left open would hold the process.
      return yield* Effect.sync(() => process.exit(exitCode))
    })).pipe(Command.withDescription(description))
