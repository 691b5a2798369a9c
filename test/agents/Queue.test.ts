import { describe, expect, it } from "@effect/vitest"
import * as Queue from "@holdfast/agents/Queue"
import type { TaskStatus } from "@holdfast/agents/Task"
import * as FastCheck from "effect/FastCheck"

const statuses: ReadonlyArray<TaskStatus> = ["ready", "running", "completed", "dead", "skipped"]

const status = FastCheck.option(FastCheck.constantFrom(...statuses), { nil: null })

const total = (queue: Queue.Queue) => statuses.reduce((sum, status) => sum + queue.counts[status], 0)

describe("Queue", () => {
  it.prop(
    "law: moves change two counts by what was moved, and the total by what came in or went out",
    {
      moves: FastCheck.array(FastCheck.record({ from: status, to: status, count: FastCheck.nat(5) }))
    },
    ({ moves }) => {
      let queue = Queue.empty("q")
      for (const { count, from, to } of moves) {
        const before = queue
        queue = Queue.move(queue, from, to, count)
        expect(total(queue) - total(before)).toBe((to === null ? 0 : count) - (from === null ? 0 : count))
        for (const status of statuses) {
          const change = (status === to ? count : 0) - (status === from ? count : 0)
          expect(queue.counts[status] - before.counts[status]).toBe(change)
        }
      }
      expect(Queue.unfinished(queue)).toBe(queue.counts.ready + queue.counts.running)
    }
  )

  it.prop(
    "law: a queue pauses itself at the threshold of deaths without a completion between, once per threshold",
    {
      errorThreshold: FastCheck.option(FastCheck.integer({ min: 1, max: 4 }), { nil: null }),
      deaths: FastCheck.array(FastCheck.boolean(), { maxLength: 30 })
    },
    ({ deaths, errorThreshold }) => {
      let queue: Queue.Queue = { ...Queue.empty("q"), errorThreshold }
      let inRow = 0
      for (const died of deaths) {
        const before: Queue.Queue = { ...queue, paused: false }
        queue = Queue.recordDeaths(before, died ? 1 : 0, died ? 0 : 1)
        inRow = died ? inRow + 1 : 0
        const reached = errorThreshold !== null && inRow === errorThreshold
        if (reached) inRow = 0
        expect(queue.paused).toBe(reached)
        expect(queue.version - before.version).toBe(reached ? 1 : 0)
        expect(queue.deadInRow).toBe(inRow)
      }
    }
  )

  it("is open when it is sealed and not paused", () => {
    const queue = Queue.empty("q")
    expect(Queue.isOpen(queue)).toBe(true)
    expect(Queue.isOpen({ ...queue, paused: true })).toBe(false)
    expect(Queue.isOpen({ ...queue, sealed: false })).toBe(false)
  })

  it("wakes claimers for more ready tasks, other settings, and when nothing is left, but not for work begun or ended", () => {
    const queue = Queue.move(Queue.empty("q"), null, "ready", 2)
    expect(Queue.wakes(Queue.empty("q"), queue)).toBe(true)
    expect(Queue.wakes(queue, { ...queue, version: 1 })).toBe(true)
    const running = Queue.move(queue, "ready", "running", 1)
    expect(Queue.wakes(queue, running)).toBe(false)
    const ended = Queue.move(running, "running", "dead", 1)
    expect(Queue.wakes(running, ended)).toBe(false)
    expect(Queue.wakes(ended, Queue.move(ended, "ready", "skipped", 1))).toBe(true)
  })
})
