/**
 * A ledger run opens accounts, asks for transfers between them, and counts the money when all of it has arrived.
 */
import type { AgentError } from "@holdfast/agents/AgentError"
import type { AgentRuntime } from "@holdfast/agents/AgentRuntime"
import type { AgentStore } from "@holdfast/agents/AgentStore"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { settled } from "../support/settled.ts"
import { Account, type AccountUnknown } from "./account.ts"

/** What a run does. The same seed gives the same transfers, and more of them begin with the same ones. */
export interface Options {
  readonly accounts: number
  readonly deposit: number
  readonly transfers: number
  readonly seed: number
  /** How many transfers are asked for at a time. */
  readonly concurrency: number
}

/** One transfer to ask for. */
export interface Transfer {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly amount: number
}

/** What became of a transfer: it was accepted, or its source held too little. */
export type Answer = "accepted" | "refused"

/** Twenty accounts of 1,000, and 64 transfers at a time. */
export const optionsOf = (transfers: number, seed: number): Options => ({
  accounts: 20,
  deposit: 1_000,
  transfers,
  seed,
  concurrency: 64
})

/** What was deposited, and so what all accounts hold whenever no money is under way. */
export const totalOf = ({ accounts, deposit }: Options): number => accounts * deposit

/** The account that transfers may name and nobody opens: what it is sent comes back. */
export const nobody = "nobody"

/** The accounts of a run. */
export const accountsOf = ({ accounts }: Options): ReadonlyArray<string> =>
  Array.from({ length: accounts }, (_, index) => `account-${index + 1}`)

/** The transfers of a run: one in twenty goes to nobody, and a few ask for more than their source can hold. */
export const transfersOf = (options: Options): Effect.Effect<ReadonlyArray<Transfer>> => {
  const accounts = accountsOf(options)
  const pick = Effect.map(Random.nextIntBetween(0, accounts.length), (index) => accounts[index] ?? nobody)
  const transfer = (_: unknown, index: number) =>
    Effect.all({
      id: Effect.succeed(`${options.seed}-${index + 1}`),
      from: pick,
      to: Effect.if(Effect.map(Random.next, (chance) => chance < 0.05), {
        onTrue: () => Effect.succeed(nobody),
        onFalse: () => pick
      }),
      amount: Random.nextIntBetween(1, Math.max(2, Math.ceil(options.deposit / 2)))
    })
  return Effect.withRandom(
    Effect.forEach(Array.from({ length: options.transfers }), transfer),
    Random.make(options.seed)
  )
}

/** Runs the ledger, tells of each transfer once it is answered, and yields the sum of all accounts at the end. */
export const run = (
  options: Options,
  answered: (transfer: Transfer, answer: Answer) => void
): Effect.Effect<number, AgentError | AccountUnknown, AgentRuntime | AgentStore> =>
  Effect.gen(function*() {
    const accounts = accountsOf(options)
    const account = yield* Account.client
    const { concurrency, deposit } = options
    yield* Effect.forEach(accounts, (id) => account(id).Open({ deposit }), { concurrency, discard: true })
    const transfer = (transfer: Transfer) =>
      account(transfer.from).Transfer(transfer).pipe(
        Effect.as<Answer>("accepted"),
        Effect.catchTag("InsufficientFunds", () => Effect.succeed<Answer>("refused")),
        Effect.map((answer) => answered(transfer, answer))
      )
    yield* Effect.forEach(yield* transfersOf(options), transfer, { concurrency, discard: true })
    yield* settled
    const balances = yield* Effect.forEach(accounts, (id) => account(id).Balance(), { concurrency })
    return balances.reduce((sum, balance) => sum + balance, 0)
  })
