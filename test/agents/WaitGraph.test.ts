import { describe, expect, it } from "@effect/vitest"
import * as WaitGraph from "@holdfast/agents/WaitGraph"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as FastCheck from "effect/FastCheck"

const agent = FastCheck.constantFrom("a", "b", "c", "d", "e")

const ask = FastCheck.record({ waiter: agent, target: agent, ends: FastCheck.boolean() })

interface Wait {
  readonly waiter: string
  readonly target: string
}

/** The model: the asks that wait, in a list; who is reached is found by going on until nobody is added. */
const reached = (waits: ReadonlyArray<Wait>, from: string): ReadonlySet<string> => {
  const found = new Set([from])
  for (let size = 0; size < found.size;) {
    size = found.size
    for (const { target, waiter } of waits) if (found.has(waiter)) found.add(target)
  }
  return found
}

const without = (waits: ReadonlyArray<Wait>, { target, waiter }: Wait): ReadonlyArray<Wait> => {
  const at = waits.findIndex((wait) => wait.waiter === waiter && wait.target === target)
  return at < 0 ? waits : waits.toSpliced(at, 1)
}

const addAll = (waits: ReadonlyArray<Wait>): WaitGraph.WaitGraph =>
  waits.reduce(
    (graph, { target, waiter }) => Either.getOrThrow(WaitGraph.add(graph, waiter, target)),
    WaitGraph.empty
  )

describe("WaitGraph", () => {
  it("refuses an ask back along a chain, with its path, and allows it once the chain is broken", () => {
    const graph = addAll([{ waiter: "a", target: "b" }, { waiter: "b", target: "c" }])
    expect(WaitGraph.add(graph, "c", "a")).toEqual(Either.left(["c", "a", "b", "c"]))
    expect(Either.isRight(WaitGraph.add(WaitGraph.remove(graph, "a", "b"), "c", "a"))).toBe(true)
  })

  it("refuses the second of two asks that cross, and an ask of oneself", () => {
    const graph = addAll([{ waiter: "a", target: "b" }])
    expect(WaitGraph.add(graph, "b", "a")).toEqual(Either.left(["b", "a", "b"]))
    expect(WaitGraph.add(graph, "c", "c")).toEqual(Either.left(["c", "c"]))
  })

  it("still knows of the second of two equal asks when the first is answered", () => {
    const twice = addAll([{ waiter: "a", target: "b" }, { waiter: "a", target: "b" }])
    const once = WaitGraph.remove(twice, "a", "b")
    expect(Either.isLeft(WaitGraph.add(once, "b", "a"))).toBe(true)
    expect(Either.isRight(WaitGraph.add(WaitGraph.remove(once, "a", "b"), "b", "a"))).toBe(true)
  })

  it.prop(
    "law: an ask is refused exactly when its target waits for its waiter, and the path is one of waits",
    { script: FastCheck.array(ask, { maxLength: 40 }) },
    ({ script }) => {
      let graph = WaitGraph.empty
      let waits: ReadonlyArray<Wait> = []
      for (const { ends, target, waiter } of script) {
        if (ends) {
          graph = WaitGraph.remove(graph, waiter, target)
          waits = without(waits, { waiter, target })
          continue
        }
        const added = WaitGraph.add(graph, waiter, target)
        expect(Either.isLeft(added)).toBe(reached(waits, target).has(waiter))
        if (Either.isLeft(added)) {
          const path = added.left
          expect([path[0], path[1], path.at(-1)]).toEqual([waiter, target, waiter])
          const steps = path.slice(1, -1).map((from, index) => ({ waiter: from, target: path[index + 2] }))
          for (const step of steps) expect(waits).toContainEqual(step)
        } else {
          graph = added.right
          waits = [...waits, { waiter, target }]
        }
      }
    },
    { fastCheck: { numRuns: 300 } }
  )

  it.prop(
    "law: when every ask is answered, nothing is left",
    { script: FastCheck.array(ask, { maxLength: 40 }) },
    ({ script }) => {
      let graph = WaitGraph.empty
      const waits: Array<Wait> = []
      for (const { target, waiter } of script) {
        const added = WaitGraph.add(graph, waiter, target)
        if (Either.isLeft(added)) continue
        graph = added.right
        waits.push({ waiter, target })
      }
      const emptied = waits.reduce(
        (left, { target, waiter }) => WaitGraph.remove(left, waiter, target),
        graph
      )
      expect(Equal.equals(emptied, WaitGraph.empty)).toBe(true)
    }
  )
})
