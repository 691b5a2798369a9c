import * as AgentLetters from "@holdfast/agents/AgentLetters"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import { AgentStore } from "@holdfast/agents/AgentStore"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Account } from "../../examples/ledger/account.ts"
import type { Options, Transfer } from "../../examples/ledger/ledger.ts"
import { accountsOf, nobody, optionsOf, totalOf, transfersOf } from "../../examples/ledger/ledger.ts"
import { eventually } from "./command-processes.ts"
import { exampleCommand } from "./examples.ts"
import type { Ended, Place } from "./holdfast.ts"
import { place } from "./holdfast.ts"

/** How a ledger is killed over and over. */
export interface LedgerLoopOptions {
  readonly transfers: number
  readonly kills: number
  /** Decides the transfers and the moments. */
  readonly seed: number
}

/** What became of a ledger that was killed over and over. */
export interface LedgerLoopReport {
  readonly accepted: number
  /** Kills by what they met: a run that had answered nothing new yet, one at work, one that had ended. */
  readonly met: { readonly starting: number; readonly working: number; readonly ended: number }
  /** Each a sentence; none when all is well. */
  readonly violations: ReadonlyArray<string>
}

/** A moment to kill at: so long after the start, or after so many transfers were accepted that were not before. */
type Moment =
  | { readonly _tag: "Started"; readonly millis: number }
  | { readonly _tag: "Accepted"; readonly transfers: number; readonly millis: number }

const momentsOf = ({ kills, transfers }: LedgerLoopOptions): FastCheck.Arbitrary<Moment> => {
  const most = Math.ceil(transfers / kills)
  const accepted = FastCheck.tuple(FastCheck.integer({ min: 1, max: most }), FastCheck.nat(20)).map(
    ([transfers, millis]): Moment => ({ _tag: "Accepted", transfers, millis })
  )
  const started = FastCheck.nat(1_500).map((millis): Moment => ({ _tag: "Started", millis }))
  return FastCheck.oneof({ weight: 1, arbitrary: started }, { weight: 3, arbitrary: accepted })
}

/** What a run has said by now. */
interface Said {
  readonly accepted: ReadonlyArray<string>
  readonly refused: ReadonlyArray<string>
}

/** One run of the example. */
interface Run {
  readonly said: () => Said
  readonly kill: () => void
  readonly ended: Effect.Effect<Ended>
}

/** Kills a ledger with SIGKILL at moments spread over its start and its transfers, and then lets it end. */
export const ledgerLoop = (
  options: LedgerLoopOptions
): Effect.Effect<LedgerLoopReport, never, Scope.Scope> =>
  Effect.gen(function*() {
    const at = yield* place
    const accepted = new Set<string>()
    const violations: Array<string> = []
    const met = { starting: 0, working: 0, ended: 0 }
    const moments = FastCheck.sample(momentsOf(options), { seed: options.seed, numRuns: options.kills })
    for (const [index, moment] of moments.entries()) {
      const run = start(at, options, index)
      met[yield* killAt(run, moment, accepted)] += 1
      violations.push(...hear(run.said(), accepted))
    }
    const last = start(at, options, options.kills)
    const { exitCode, stderr } = yield* last.ended
    if (exitCode !== 0) violations.push(`the last run ended with ${exitCode}: ${stderr}`)
    violations.push(...hear(last.said(), accepted), ...lost(last.said(), accepted))
    violations.push(...(yield* violationsIn(at, options, accepted)))
    return { accepted: accepted.size, met, violations }
  })

const start = (at: Place, { seed, transfers }: LedgerLoopOptions, index: number): Run => {
  const run = exampleCommand("ledger", "ledger.db", String(transfers), String(seed))
  const said = `said-${index}`
  const { ended, signal } = at.start([], { wrap: () => ["sh", "-c", `exec "$@" > ${said}`, "sh", ...run] })
  const ids = (answer: string) =>
    at.lines(said).flatMap((line) => new RegExp(`^(\\S+) ${answer}:`).exec(line)?.[1] ?? [])
  return {
    said: () => ({ accepted: ids("accepted"), refused: ids("refused") }),
    kill: () => signal("SIGKILL"),
    ended
  }
}

const killAt = (run: Run, moment: Moment, accepted: ReadonlySet<string>) =>
  Effect.gen(function*() {
    const fresh = () => run.said().accepted.filter((id) => !accepted.has(id)).length
    const reached = moment._tag === "Started"
      ? Effect.void
      : eventually(() => fresh() >= moment.transfers)
    yield* Effect.raceFirst(Effect.zipRight(reached, Effect.sleep(moment.millis)), run.ended)
    run.kill()
    const { signal } = yield* run.ended
    return signal === null ? "ended" : fresh() > 0 ? "working" : "starting"
  })

/** Remembers what was accepted; what was once is never refused. */
const hear = (said: Said, accepted: Set<string>): ReadonlyArray<string> => {
  const refused = said.refused.filter((id) => accepted.has(id))
  said.accepted.forEach((id) => accepted.add(id))
  return refused.map((id) => `transfer ${id} was accepted and is now refused`)
}

const lost = (last: Said, accepted: ReadonlySet<string>): ReadonlyArray<string> => {
  const found = new Set(last.accepted)
  return Array.from(accepted).filter((id) => !found.has(id)).map((id) =>
    `transfer ${id} was accepted and is not`
  )
}

/** Reads the storage as another process would, when no run is left. */
const violationsIn = (at: Place, { seed, transfers }: LedgerLoopOptions, accepted: ReadonlySet<string>) =>
  Effect.gen(function*() {
    const options = optionsOf(transfers, seed)
    const expected = expectedOf(options, yield* transfersOf(options), accepted)
    const store = yield* AgentStore
    const counts = yield* store.counts
    const letters = yield* (yield* AgentLetters.make).list()
    const balances = yield* Effect.forEach(accountsOf(options), balanceOf)
    const sum = balances.reduce((sum, { balance }) => sum + balance, 0)
    return [
      ...(sum === totalOf(options) ? [] : [`the accounts hold ${sum}, not ${totalOf(options)}`]),
      ...balances.filter(({ account, balance }) => expected.get(account) !== balance).map((
        { account, balance }
      ) => `${account} holds ${balance}, not ${expected.get(account)}`),
      ...counts.filter(({ messages, parked }) => messages + parked > 0).map((count) => JSON.stringify(count)),
      ...letters.map(({ detail, recipient, topic }) => `dead letter: ${topic} to ${recipient}, ${detail}`)
    ]
  }).pipe(
    Effect.provide(
      AgentRuntime.layer.pipe(Layer.provideMerge(Sqlite.layer({ filename: at.file("ledger.db") })))
    ),
    Effect.orDie
  )

const balanceOf = (account: string) =>
  Effect.gen(function*() {
    const runtime = yield* AgentRuntime.AgentRuntime
    const found = Option.getOrNull(yield* runtime.inspect(Account, account))
    return { account, balance: found?.state?.balance ?? 0 }
  })

/** What each account holds when each accepted transfer has happened once; what is sent to nobody comes back. */
const expectedOf = (
  options: Options,
  transfers: ReadonlyArray<Transfer>,
  accepted: ReadonlySet<string>
): ReadonlyMap<string, number> => {
  const balances = new Map(accountsOf(options).map((account) => [account, options.deposit]))
  const add = (account: string, amount: number) =>
    balances.set(account, (balances.get(account) ?? 0) + amount)
  for (const { amount, from, id, to } of transfers) {
    if (!accepted.has(id) || to === nobody) continue
    add(from, -amount)
    add(to, amount)
  }
  return balances
}
