/**
 * The long form of the leak test of agents, once, and of the kill loops: `soak.ts [MINUTES] [SEED]` repeats these with
 * other seeds for so long, 10 minutes by default. It ends with exit code 1 at the first violation.
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import process from "node:process"
import { agentLives } from "../support/agent-lives.ts"
import { killLoop } from "../support/kill-loop.ts"
import { ledgerLoop } from "../support/ledger-loop.ts"

const [minutes = "10", first] = process.argv.slice(2)

/** What a loop reports: how it went, and the violations it has found. */
type Loop = Effect.Effect<{ readonly violations: ReadonlyArray<string> }, never, Scope.Scope>

const batch = (seed: number): Loop =>
  killLoop({ tasks: 100 + seed % 400, kills: 10 + seed % 30, concurrency: 1 + seed % 8, seed })

const ledger = (seed: number): Loop => ledgerLoop({ transfers: 5_000, kills: 50, seed })

/** Runs a loop and says how it went; yields whether it has found no violation. */
const report = (name: string, seed: number, loop: Loop): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    const { violations, ...facts } = yield* Effect.scoped(loop)
    yield* Console.log(JSON.stringify({ name, seed, ...facts }))
    yield* Effect.forEach(violations, (violation) => Console.error(`${name}, seed ${seed}: ${violation}`))
    return violations.length === 0
  })

/** A hundred thousand agents, twice; what is then held may not be as much as an entry of a map for each. */
const lives = Effect.gen(function*() {
  const { bytesPerAgent, heap, live } = yield* Effect.scoped(agentLives(100_000))
  yield* Console.log(JSON.stringify({ name: "agents", live, heap, bytesPerAgent }))
  return live === 0 && bytesPerAgent < 32
})

const soak = Effect.gen(function*() {
  if (!(yield* lives)) return 1
  const start = yield* Clock.currentTimeMillis
  const end = start + Number(minutes) * 60_000
  for (let seed = Number(first ?? start % 2 ** 31); (yield* Clock.currentTimeMillis) < end; seed++) {
    if (!(yield* report("batch", seed, batch(seed)))) return 1
    if (!(yield* report("ledger", seed, ledger(seed)))) return 1
  }
  return 0
})

process.exitCode = await Effect.runPromise(soak)
