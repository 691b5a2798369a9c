/**
 * An account is a durable agent that holds money, and moves it to other accounts.
 *
 * `Transfer` debits the source and tells the target `Credit` in one commit: from then on the money is in one balance or
 * in one inbox, whatever dies. A target that nobody has opened tells the source `Refund`.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as Agent from "@holdfast/agents/Agent"
import type { Handle } from "@holdfast/agents/AgentHandle"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Says that nobody has opened the account. Remedy: open it. */
export class AccountUnknown extends Schema.TaggedError<AccountUnknown>()("AccountUnknown", {
  account: Schema.String
}) {
  override get message(): string {
    return `account ${this.account} is not open`
  }
}

/** Says that the account holds less than was to be transferred; nothing was. Remedy: transfer less, or later. */
export class InsufficientFunds extends Schema.TaggedError<InsufficientFunds>()("InsufficientFunds", {
  account: Schema.String,
  balance: Schema.Int,
  amount: Schema.Int
}) {
  override get message(): string {
    return `account ${this.account} holds ${this.balance}, less than ${this.amount}`
  }
}

const State = Schema.Struct({ balance: Schema.NullOr(Schema.Int) })
type State = typeof State.Type

const Amount = Schema.Int.pipe(Schema.positive())

/**
 * The definition. Money is in whole units; the balance is `null` until the account is opened.
 *
 * - `Open` makes the first deposit; an account that is open stays as it is.
 * - `Transfer` is known by its `id`: asked again after a crash, it answers as it did and moves nothing. When it answers,
 *   the money has left and will arrive.
 * - `Credit` and `Refund` are told by accounts only, and need no key: what an agent tells is once in effect.
 */
export const Account = Agent.make("Account", {
  protocol: [
    Rpc.make("Open", { payload: { deposit: Schema.NonNegativeInt } }),
    Rpc.make("Balance", { success: Schema.Int, error: AccountUnknown }),
    Rpc.make("Transfer", {
      payload: { id: Schema.String, to: Schema.String, amount: Amount },
      error: Schema.Union(AccountUnknown, InsufficientFunds),
      primaryKey: ({ id }) => id
    }),
    Rpc.make("Credit", { payload: { from: Schema.String, amount: Amount } }),
    Rpc.make("Refund", { payload: { amount: Amount } })
  ],
  state: State,
  initial: { balance: null }
})

/** Handles the messages of accounts. */
export const layer = Account.toLayer({
  Open: ({ deposit }, account) => account.update(({ balance }) => ({ balance: balance ?? deposit })),
  Balance: (_, account) => balanceOf(account),
  Transfer: ({ amount, to }, account) =>
    Effect.gen(function*() {
      const { id } = account.self
      const balance = yield* balanceOf(account)
      if (balance < amount) return yield* new InsufficientFunds({ account: id, balance, amount })
      yield* account.set({ balance: balance - amount })
      yield* account.tell(Account, to).Credit({ from: id, amount })
    }),
  Credit: ({ amount, from }, account) =>
    Effect.catchTag(
      deposit(account, amount),
      "AccountUnknown",
      () => account.tell(Account, from).Refund({ amount })
    ),
  // Who is refunded was debited, and no account is ever closed.
  Refund: ({ amount }, account) => Effect.orDie(deposit(account, amount))
})

// internal

const balanceOf = (account: Handle<State>): Effect.Effect<number, AccountUnknown> =>
  Effect.flatMap(
    account.get,
    ({ balance }) =>
      balance === null ? new AccountUnknown({ account: account.self.id }) : Effect.succeed(balance)
  )

const deposit = (account: Handle<State>, amount: number): Effect.Effect<void, AccountUnknown> =>
  Effect.flatMap(balanceOf(account), (balance) => account.set({ balance: balance + amount }))
