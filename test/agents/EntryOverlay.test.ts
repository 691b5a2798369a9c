import { describe, expect, it } from "@effect/vitest"
import type { AgentEntry } from "@holdfast/agents/AgentRecord"
import type { EntryQuery } from "@holdfast/agents/AgentStore"
import * as EntryOverlay from "@holdfast/agents/EntryOverlay"
import { compareKeys } from "@holdfast/core/RecordStore"
import * as FastCheck from "effect/FastCheck"

const key = FastCheck.constantFrom("", "a", "ab", "b", "c", "\uffee", "\u{1f600}")
const change = FastCheck.record({
  collection: FastCheck.constantFrom("c", "c", "d"),
  key,
  value: FastCheck.option(FastCheck.constantFrom("1", "2"), { freq: 2 })
})
type Changes = ReadonlyArray<typeof change extends FastCheck.Arbitrary<infer A> ? A : never>

const collection = (changes: Changes): ReadonlyMap<string, string> => {
  const all = new Map<string, string>()
  for (const { collection, key, value } of changes) {
    if (collection !== "c") continue
    if (value === null) all.delete(key)
    else all.set(key, value)
  }
  return all
}

const sorted = (all: ReadonlyMap<string, string>): ReadonlyArray<AgentEntry> =>
  Array.from(all, ([key, value]) => ({ key, value })).sort((a, b) => compareKeys(a.key, b.key))

const select = (entries: ReadonlyArray<AgentEntry>, { after, limit }: EntryQuery) =>
  entries.filter(({ key }) => after === undefined || compareKeys(key, after) > 0).slice(0, limit)

const messageOf = (changes: Changes): EntryOverlay.EntryChanges =>
  new Map(changes.map((change) => [EntryOverlay.placeOf(change.collection, change.key), change]))

describe("EntryOverlay", () => {
  it.prop(
    "law: entries, pages and counts are those after all messages, however many of them storage has already",
    {
      old: FastCheck.array(change, { maxLength: 12 }),
      messages: FastCheck.array(FastCheck.array(change, { maxLength: 6 }), { maxLength: 4 }),
      landed: FastCheck.array(FastCheck.nat(4), { minLength: 1, maxLength: 6 }),
      after: FastCheck.option(key, { nil: undefined }),
      limit: FastCheck.nat(5)
    },
    ({ after, landed, limit, messages, old }) => {
      const stored = landed.map((count) => collection([...old, ...messages.slice(0, count).flat()]))
      const expected = collection([...old, ...messages.flat()])
      const layers = messages.map(messageOf)
      const changes = EntryOverlay.changesOf(layers, "c")
      const names = new Set(changes.map(({ key }) => key))
      const query = after === undefined ? { limit } : { after, limit }
      let page = EntryOverlay.begin(changes, query)
      let reads = 0
      while (page.next !== null) {
        const now = stored[reads % stored.length] ?? new Map()
        page = EntryOverlay.advance(changes, page, select(sorted(now), page.next))
        reads += 1
      }
      expect(page.entries).toEqual(select(sorted(expected), query))
      expect(reads).toBeLessThanOrEqual(1)
      for (const now of stored) {
        const others = Array.from(now.keys()).filter((key) => !names.has(key)).length
        expect(EntryOverlay.count(changes, others)).toBe(expected.size)
        for (const key of ["", "a", "b", "\u{1f600}"]) {
          const last = EntryOverlay.find(layers, "c", key)
          expect(last === null ? now.get(key) ?? null : last.value).toBe(expected.get(key) ?? null)
        }
      }
    },
    { fastCheck: { numRuns: 500 } }
  )

  it("reads on in bounded steps where many entries were removed", () => {
    const keys = Array.from({ length: 1_000 }, (_, index) => String(index).padStart(4, "0"))
    const stored = keys.map((key) => ({ key, value: "1" }))
    const removed = keys.slice(0, 900).map((key) => ({ collection: "c", key, value: null }))
    const changes = [...removed, { collection: "c", key: "0901a", value: "2" }]
    const asked: Array<number> = []
    let page = EntryOverlay.begin(changes, { limit: 3 })
    while (page.next !== null) {
      asked.push(page.next.limit)
      page = EntryOverlay.advance(changes, page, select(stored, page.next))
    }
    expect(page.entries).toEqual([...stored.slice(900, 902), { key: "0901a", value: "2" }])
    expect(asked.length).toBe(7)
    expect(Math.max(...asked)).toBe(131)
  })
})
