import { describe, expect, it } from "@effect/vitest"
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import type { AgentStore } from "@holdfast/agents/AgentStore"
import * as Memory from "@holdfast/agents/Memory"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import { Account, AccountUnknown, InsufficientFunds, layer } from "../../examples/ledger/account.ts"
import * as Ledger from "../../examples/ledger/ledger.ts"
import { settled } from "../../examples/support/settled.ts"
import { runExample } from "../support/examples.ts"
import { linesOf, place } from "../support/holdfast.ts"

const inLedger = <A, E>(program: Effect.Effect<A, E, AgentRuntime.AgentRuntime | AgentStore>) =>
  Effect.provide(
    program,
    layer.pipe(Layer.provideMerge(AgentRuntime.layer), Layer.provideMerge(Memory.layer))
  )

/** Opens accounts `a` and `b` with 100 each. */
const twoAccounts = Effect.gen(function*() {
  const account = yield* Account.client
  const [a, b] = [account("a"), account("b")]
  yield* Effect.all([a.Open({ deposit: 100 }), b.Open({ deposit: 100 })])
  return { a, b, balances: Effect.zipRight(settled, Effect.all([a.Balance(), b.Balance()])) }
})

describe("an account", () => {
  it.live("moves money to another, once however often it is asked under one id", () =>
    inLedger(Effect.gen(function*() {
      const { a, balances } = yield* twoAccounts
      const transfer = a.Transfer({ id: "1", to: "b", amount: 30 })
      yield* Effect.all([transfer, transfer], { concurrency: 2 })
      yield* transfer
      expect(yield* balances).toEqual([70, 130])
    })))

  it.live("keeps what it sends to itself", () =>
    inLedger(Effect.gen(function*() {
      const { a, balances } = yield* twoAccounts
      yield* a.Transfer({ id: "1", to: "a", amount: 30 })
      expect(yield* balances).toEqual([100, 100])
    })))

  it.live("gets back what it sends to an account that is not open", () =>
    inLedger(Effect.gen(function*() {
      const { a, balances } = yield* twoAccounts
      yield* a.Transfer({ id: "1", to: "c", amount: 30 })
      expect(yield* balances).toEqual([70 + 30, 100])
    })))

  it.live("refuses more than it holds, and takes it under the same id once it holds enough", () =>
    inLedger(Effect.gen(function*() {
      const { a, b, balances } = yield* twoAccounts
      const transfer = a.Transfer({ id: "1", to: "b", amount: 101 })
      const refused = new InsufficientFunds({ account: "a", balance: 100, amount: 101 })
      expect(yield* Effect.exit(transfer)).toEqual(Exit.fail(refused))
      expect(yield* balances).toEqual([100, 100])
      yield* b.Transfer({ id: "1", to: "a", amount: 1 })
      yield* settled
      yield* transfer
      expect(yield* balances).toEqual([0, 200])
    })))

  it.live("that is not open says so, and one that is stays as it is", () =>
    inLedger(Effect.gen(function*() {
      const { a, balances } = yield* twoAccounts
      const c = (yield* Account.client)("c")
      const unknown = Exit.fail(new AccountUnknown({ account: "c" }))
      expect(yield* Effect.exit(c.Balance())).toEqual(unknown)
      expect(yield* Effect.exit(c.Transfer({ id: "1", to: "a", amount: 1 }))).toEqual(unknown)
      yield* a.Open({ deposit: 1_000 })
      expect(yield* balances).toEqual([100, 100])
    })))
})

describe("a ledger", () => {
  it.prop(
    "of more transfers of the same seed begins with the same ones",
    [FastCheck.nat(100), FastCheck.nat(100), FastCheck.integer()],
    ([some, others, seed]) => {
      const transfers = (count: number) => Effect.runSync(Ledger.transfersOf(Ledger.optionsOf(count, seed)))
      expect(transfers(some + others).slice(0, some)).toEqual(transfers(some))
    }
  )
})

describe("the ledger's command", () => {
  it.scopedLive("finds all the money, and run again answers what it had accepted as before", () =>
    Effect.gen(function*() {
      const at = yield* place
      const runs = yield* Effect.forEach(
        [100, 120],
        (count) => runExample(at, "ledger", "l.db", String(count))
      )
      const [first = [], second = []] = runs.map(({ stdout }) => linesOf(stdout))
      expect(runs.map(({ exitCode }) => exitCode)).toEqual([0, 0])
      expect([first.length, second.length]).toEqual([101, 121])
      const accepted = first.filter((line) => line.includes(" accepted: "))
      expect(accepted.length).toBeGreaterThan(50)
      expect(second).toEqual(expect.arrayContaining(accepted))
      expect(second.at(-1)).toBe("the accounts hold 20000 of 20000 that were deposited")
    }))
})
