import * as Rpc from "@effect/rpc/Rpc"
import { describe, expect, it } from "@effect/vitest"
import * as Agent from "@holdfast/agents/Agent"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { onMemory } from "./runtime.ts"

const change = { payload: { id: Schema.String, by: Schema.Int }, success: Schema.Int }

const Stock = Agent.make("Stock", {
  protocol: [
    Rpc.make("Add", { ...change, primaryKey: ({ id }) => id }),
    Rpc.make("Take", { ...change, primaryKey: ({ id }) => id }),
    Rpc.make("Order", { payload: change.payload, primaryKey: ({ id }) => id }),
    Rpc.make("Count", { success: Schema.Int })
  ],
  state: Schema.Struct({ count: Schema.Int }),
  initial: { count: 0 }
})

const layer = Stock.toLayer({
  Add: ({ by }, stock) =>
    Effect.zipRight(
      stock.update(({ count }) => ({ count: count + by })),
      Effect.map(stock.get, ({ count }) => count)
    ),
  Take: ({ by }, stock) =>
    Effect.zipRight(
      stock.update(({ count }) => ({ count: count - by })),
      Effect.map(stock.get, ({ count }) => count)
    ),
  Order: (order, stock) => stock.tell(Stock, stock.self.id).Add(order),
  Count: (_, stock) => Effect.map(stock.get, ({ count }) => count)
})

describe("the key of a message", () => {
  it.live("is its own: another message of the same key is another", () =>
    onMemory(layer)(Effect.gen(function*() {
      const stock = (yield* Stock.client)("screws")
      expect(yield* stock.Add({ id: "1", by: 5 })).toBe(5)
      expect(yield* stock.Take({ id: "1", by: 2 })).toBe(3)
      expect(yield* stock.Add({ id: "1", by: 5 })).toBe(5)
      expect(yield* stock.Count()).toBe(3)
    })))

  it.live("does not keep a told message from its inbox that has the key of the one that tells it", () =>
    onMemory(layer)(Effect.gen(function*() {
      const stock = (yield* Stock.client)("nails")
      yield* stock.Order({ id: "1", by: 5 })
      const counted = Effect.repeat(stock.Count(), { until: (count) => count === 5 })
      expect(yield* Effect.timeout(counted, "10 seconds")).toBe(5)
    })))
})
