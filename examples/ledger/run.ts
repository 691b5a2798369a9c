/**
 * The command of the example: `run.js [FILE] [TRANSFERS] [SEED]`. Prints each transfer once it is answered, then the sum.
 * Exit codes: 0 the money is all there, 1 it is not.
 */
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Account from "./account.ts"
import * as Ledger from "./ledger.ts"

const [filename = "ledger.db", transfers = "1000", seed = "1"] = process.argv.slice(2)

const options = Ledger.optionsOf(Number(transfers), Number(seed))

const print = (line: string) => process.stdout.write(`${line}\n`)

const program = Effect.gen(function*() {
  const sum = yield* Ledger.run(options, ({ amount, from, id, to }, answer) => {
    print(`${id} ${answer}: ${amount} from ${from} to ${to}`)
  })
  const total = Ledger.totalOf(options)
  print(`the accounts hold ${sum} of ${total} that were deposited`)
  return sum === total ? 0 : 1
})

const agents = Account.layer.pipe(
  Layer.provideMerge(AgentRuntime.layer),
  Layer.provideMerge(Sqlite.layer({ filename }))
)

process.exitCode = await Effect.runPromise(Effect.provide(program, agents))
