/**
 * Agents that checks are tried on: a counter with a limit, and accounts that tell one another; with mistakes to be found.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as Agent from "@holdfast/agents/Agent"
import type { AgentError } from "@holdfast/agents/AgentError"
import type { Handle } from "@holdfast/agents/AgentHandle"
import type { AgentModel as Model } from "@holdfast/agents/testing/AgentModel"
import * as AgentModel from "@holdfast/agents/testing/AgentModel"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as FiberId from "effect/FiberId"
import * as Schema from "effect/Schema"

export class LimitReached extends Schema.TaggedError<LimitReached>()("LimitReached", { limit: Schema.Int }) {}

const State = Schema.Struct({ count: Schema.Int })
type CounterState = typeof State.Type

const counterOf = (durability: Agent.Durability) =>
  Agent.make("Counter", {
    protocol: [
      Rpc.make("Add", { payload: { by: Schema.Int }, success: Schema.Int, error: LimitReached }),
      Rpc.make("AddOnce", {
        payload: { id: Schema.String, by: Schema.Int },
        success: Schema.Int,
        error: LimitReached,
        primaryKey: ({ id }) => id
      }),
      Rpc.make("Read", { success: Schema.Int }),
      Rpc.make("Boom"),
      Rpc.make("GiveUp")
    ],
    state: State,
    initial: { count: 0 },
    durability
  })

export const Counter = counterOf("commit")

/** Answers before it has committed. */
export const Relaxed = counterOf("relaxed")

export const limit = 20

const add = (agent: Handle<CounterState>, by: number, most: number) =>
  Effect.gen(function*() {
    const { count } = yield* agent.get
    yield* agent.set({ count: count + by })
    if (count + by > most) return yield* new LimitReached({ limit: most })
    return count + by
  })

/** Handlers of a counter that minds this limit. */
export const counterLayer = (definition: typeof Counter, most: number = limit) =>
  definition.toLayer({
    Add: ({ by }, agent) => add(agent, by, most),
    AddOnce: ({ by }, agent) => add(agent, by, most),
    Read: (_, agent) => Effect.map(agent.get, ({ count }) => count),
    Boom: (_, agent) => Effect.zipRight(agent.set({ count: -1 }), Effect.die("boom")),
    GiveUp: (_, agent) => Effect.zipRight(agent.set({ count: -1 }), Effect.interrupt)
  })

/** Handlers that take their time. */
export const slowCounterLayer = Counter.toLayer({
  Add: ({ by }, agent) => Effect.delay(add(agent, by, limit), "20 seconds"),
  AddOnce: ({ by }, agent) => Effect.delay(add(agent, by, limit), "20 seconds"),
  Read: (_, agent) => Effect.delay(Effect.map(agent.get, ({ count }) => count), "20 seconds"),
  Boom: () => Effect.die("boom"),
  GiveUp: () => Effect.interrupt
})

const added = (
  state: CounterState,
  { by }: { readonly by: number }
): readonly [CounterState, Exit.Exit<number, LimitReached>] => {
  const count = state.count + by
  return count > limit ? [state, Exit.fail(new LimitReached({ limit }))] : [{ count }, Exit.succeed(count)]
}

type CounterRpc = (typeof Counter)["protocol"][number]

export const counterModel: Model<CounterRpc, CounterState, CounterState> = {
  initial: () => ({ count: 0 }),
  handle: {
    Add: added,
    AddOnce: added,
    Read: (state) => [state, Exit.succeed(state.count)],
    Boom: (state) => [state, Exit.die("boom")],
    GiveUp: (state) => [state, Exit.interrupt(FiberId.none)]
  }
}

/** Small numbers, and keys of which some are the same. */
export const counterPayloads = {
  Add: FastCheck.record({ by: FastCheck.nat(9) }),
  AddOnce: FastCheck.record({ id: FastCheck.constantFrom("x", "y", "z"), by: FastCheck.nat(9) })
}

const Amount = Schema.Int.pipe(Schema.positive())

export class Poor extends Schema.TaggedError<Poor>()("Poor", { balance: Schema.Int }) {}

/** Writes down what was transferred. */
export const Journal = Agent.make("Journal", {
  protocol: [Rpc.make("Write", { payload: { from: Schema.String, to: Schema.String, amount: Amount } })],
  state: Schema.Record({ key: Schema.String, value: Schema.Int }),
  initial: {}
})

/** Begins with 10, and transfers what it has. */
export const Account = Agent.make("Account", {
  protocol: [
    Rpc.make("Transfer", {
      payload: { id: Schema.String, to: Schema.Literal("a", "b", "c"), amount: Amount },
      error: Poor,
      primaryKey: ({ id }) => id
    }),
    Rpc.make("Credit", { payload: { amount: Amount } }),
    Rpc.make("Later", { payload: { to: Schema.Literal("a", "b", "c"), amount: Amount }, error: Poor })
  ],
  state: Schema.Struct({ balance: Schema.Int }),
  initial: { balance: 10 }
})

type AccountState = { readonly balance: number }

const debit = (agent: Handle<AccountState>, amount: number) =>
  Effect.gen(function*() {
    const { balance } = yield* agent.get
    if (balance < amount) return yield* new Poor({ balance })
    yield* agent.set({ balance: balance - amount })
  })

/** Handlers of accounts, of which some debts are written down in the journal by `write`. */
const accountsThat = (
  write: (account: Handle<AccountState>, entry: Entry) => Effect.Effect<void, AgentError>
) =>
  Account.toLayer({
    Transfer: ({ amount, to }, account) =>
      Effect.gen(function*() {
        yield* debit(account, amount)
        yield* write(account, { from: account.self.id, to, amount })
        yield* account.tell(Account, to).Credit({ amount })
      }),
    Credit: ({ amount }, account) => account.update(({ balance }) => ({ balance: balance + amount })),
    Later: ({ amount, to }, account) =>
      Effect.zipRight(debit(account, amount), account.schedule("1 hour", Account, to).Credit({ amount }))
  })

interface Entry {
  readonly from: string
  readonly to: string
  readonly amount: number
}

export const accountLayer = accountsThat((account, entry) => account.tell(Journal, "main").Write(entry))

/** Handlers that keep no journal. */
export const silentAccountLayer = accountsThat(() => Effect.void)

/** Handlers that write into the journal before their own message is committed. */
export const hastyAccountLayer = accountsThat((account, entry) => account.ask(Journal, "main").Write(entry))

export const journalLayer = Journal.toLayer({
  Write: ({ amount, from, to }, journal) =>
    journal.update((sums) => ({ ...sums, [`${from}-${to}`]: (sums[`${from}-${to}`] ?? 0) + amount }))
})

type AccountRpc = (typeof Account)["protocol"][number]

export const accountModel: Model<AccountRpc, AccountState, number> = {
  initial: () => 10,
  agrees: (model, { balance }) => model === balance,
  handle: {
    Transfer: (balance, { amount, to }, id) =>
      balance < amount ? [balance, Exit.fail(new Poor({ balance }))] : [balance - amount, Exit.void, [
        AgentModel.tell(Journal, "main").Write({ from: id, to, amount }),
        AgentModel.tell(Account, to).Credit({ amount })
      ]],
    Credit: (balance, { amount }) => [balance + amount, Exit.void],
    Later: (balance, { amount, to }) =>
      balance < amount
        ? [balance, Exit.fail(new Poor({ balance }))]
        : [balance - amount, Exit.void, [AgentModel.tell(Account, to).Credit({ amount })]]
  }
}

export const journalModel = AgentModel.of(Journal, {
  initial: (): { readonly [pair: string]: number } => ({}),
  handle: {
    Write: (sums, { amount, from, to }) => [
      { ...sums, [`${from}-${to}`]: (sums[`${from}-${to}`] ?? 0) + amount },
      Exit.void
    ]
  }
})

const to = FastCheck.constantFrom("a" as const, "b" as const, "c" as const)

export const accountPayloads = {
  Transfer: FastCheck.record({
    id: FastCheck.constantFrom("x", "y", "z"),
    to,
    amount: FastCheck.integer({ min: 1, max: 7 })
  }),
  Credit: FastCheck.record({ amount: FastCheck.integer({ min: 1, max: 7 }) }),
  Later: FastCheck.record({ to, amount: FastCheck.integer({ min: 1, max: 7 }) })
}
