import { RecordStore } from "@holdfast/core/RecordStore"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import Process from "node:process"
import { increment } from "../core/RecordIncrement.ts"

/** Adds one to a record that often, four at a time; prints `done`. */
const [filename = "", count = "1"] = Process.argv.slice(2)

const program = Effect.gen(function*() {
  const store = yield* RecordStore
  yield* Effect.forEach(Array.from({ length: Number(count) }), () => increment(store, "counters", "shared"), {
    concurrency: 4
  })
  Process.stdout.write("done\n")
}).pipe(Effect.provide(Sqlite.layer({ filename })))

await Effect.runPromise(program)
