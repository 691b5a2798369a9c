import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type {
  CommitError,
  CommitLog,
  RefusedInTransaction,
  TransactionTimeout
} from "@holdfast/agents/CommitLog"
import type { QueueFull } from "@holdfast/agents/TaskOperation"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "tstyche"

declare const log: CommitLog["Type"]

const insert = Effect.flatMap(
  SqlClient,
  (sql) => sql<{ readonly id: number }>`INSERT INTO orders (item) VALUES ('lamp') RETURNING id`
)

const enqueue = TaskOperation.enqueueTasks({ queue: "q", tasks: [], nowMillis: 0 })

describe("CommitLog.within", () => {
  const within = log.within(insert, () => [enqueue])

  it("fails with the user's errors, its operations' refusals, and those of the log", () => {
    expect<Effect.Effect.Error<typeof within>>().type.toBe<
      SqlError | QueueFull | CommitError | RefusedInTransaction | TransactionTimeout
    >()
    const plain = log.within(Effect.void, () => [])
    expect<Effect.Effect.Error<typeof plain>>().type.toBe<
      CommitError | RefusedInTransaction | TransactionTimeout
    >()
  })

  it("requires what its user requires", () => {
    expect<Effect.Effect.Context<typeof within>>().type.toBe<SqlClient>()
  })

  it("yields what its user did, and the result of each operation", () => {
    type Done = Effect.Effect.Success<typeof within>
    expect<Done["value"]>().type.toBe<ReadonlyArray<{ readonly id: number }>>()
    expect<Done["results"][0]["enqueued"]>().type.toBe<number>()
  })
})
