/**
 * The long form of the kill loop: `soak.ts [MINUTES] [SEED]` repeats it with other seeds for so long, 10 minutes by
 * default, and ends with exit code 1 at the first violation.
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import process from "node:process"
import { killLoop } from "../support/kill-loop.ts"

const [minutes = "10", first] = process.argv.slice(2)

const soak = Effect.gen(function*() {
  const start = yield* Clock.currentTimeMillis
  const end = start + Number(minutes) * 60_000
  for (let seed = Number(first ?? start % 2 ** 31); (yield* Clock.currentTimeMillis) < end; seed++) {
    const options = { tasks: 100 + seed % 400, kills: 10 + seed % 30, concurrency: 1 + seed % 8, seed }
    const { extra, met, violations } = yield* Effect.scoped(killLoop(options))
    yield* Console.log(JSON.stringify({ ...options, extra, met }))
    yield* Effect.forEach(violations, (violation) => Console.error(`seed ${seed}: ${violation}`))
    if (violations.length > 0) return 1
  }
  return 0
})

process.exitCode = await Effect.runPromise(soak)
