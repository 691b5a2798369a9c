import { describe, expect, it } from "@effect/vitest"
import * as Topic from "@holdfast/core/Topic"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"

const word = FastCheck.constantFrom("a", "b", "c", "", "*")
const topic = FastCheck.array(word, { minLength: 1, maxLength: 5 }).map((segments) => segments.join("."))
const patternText = FastCheck.tuple(
  FastCheck.array(FastCheck.constantFrom("a", "b", "c", "*"), { minLength: 1, maxLength: 5 }),
  FastCheck.boolean()
).map(([segments, rest]) => [...segments, ...(rest ? ["**"] : [])].join("."))

const pattern = (text: string): Topic.Pattern => Either.getOrThrow(Topic.parsePattern(text))

/** What a pattern says, as a regular expression. */
const selects = (text: string, topic: string): boolean => {
  const [head = "", rest] = text === "**" ? ["", ""] : text.split(/\.\*\*$/)
  const source = head.split(".").map((segment) => segment === "*" ? "[^.]*" : segment).join("\\.")
  return text === "**" || new RegExp(`^${source}${rest === undefined ? "" : "(\\..*)?"}$`).test(topic)
}

describe("Topic", () => {
  it.prop(
    "law: an index finds what a regular expression finds, each value once",
    [FastCheck.array(patternText, { maxLength: 20 }), FastCheck.array(topic, { maxLength: 20 })],
    ([texts, topics]) => {
      const index = Topic.makeIndex<number>()
      texts.forEach((text, value) => Topic.add(index, pattern(text), value))
      for (const topic of topics) {
        const expected = texts.flatMap((text, value) => selects(text, topic) ? [value] : [])
        expect([...Topic.match(index, topic)].sort((a, b) => a - b)).toEqual(expected)
      }
    },
    { fastCheck: { numRuns: 1_000 } }
  )

  it.prop(
    "law: what is removed is not found, what stays is, and an index without values is empty",
    [FastCheck.array(FastCheck.tuple(patternText, FastCheck.boolean()), { maxLength: 20 }), topic],
    ([entries, topic]) => {
      const index = Topic.makeIndex<number>()
      entries.forEach(([text], value) => Topic.add(index, pattern(text), value))
      entries.forEach(([text, stays], value) => stays || Topic.remove(index, pattern(text), value))
      const expected = entries.flatMap(([text, stays], value) => stays && selects(text, topic) ? [value] : [])
      expect([...Topic.match(index, topic)].sort((a, b) => a - b)).toEqual(expected)
      entries.forEach(([text], value) => Topic.remove(index, pattern(text), value))
      expect(Topic.size(index)).toBe(1)
    },
    { fastCheck: { numRuns: 500 } }
  )

  it("takes `**` for no segment, one, or many, and alone for every topic", () => {
    const index = Topic.makeIndex<string>()
    for (const text of ["orders.**", "**", "orders.*"]) Topic.add(index, pattern(text), text)
    expect([...Topic.match(index, "orders")].sort()).toEqual(["**", "orders.**"])
    expect([...Topic.match(index, "orders.eu")].sort()).toEqual(["**", "orders.*", "orders.**"])
    expect([...Topic.match(index, "orders.eu.1")].sort()).toEqual(["**", "orders.**"])
    expect(Topic.match(index, "")).toEqual(["**"])
  })

  it("refuses what is no pattern, and says why", () => {
    const problem = (text: string) =>
      Either.match(Topic.parsePattern(text), { onLeft: (error) => error.problem, onRight: () => "none" })
    expect(problem("orders.*.created.**")).toBe("none")
    expect(problem("")).toBe("a segment is empty")
    expect(problem("orders..eu")).toBe("a segment is empty")
    expect(problem("orders.**.eu")).toBe("`**` stands only at the end")
    expect(problem("orders.eu*")).toBe("`*` and `**` stand for whole segments")
    expect(problem("orders.***")).toBe("`*` and `**` stand for whole segments")
    expect(problem(Array.from({ length: 32 }, () => "a").join("."))).toBe("none")
    expect(problem(Array.from({ length: 33 }, () => "a").join("."))).toBe(
      "it has 33 segments, and 32 is the most"
    )
    expect(Either.flip(Topic.parsePattern("a..b"))).toMatchObject({
      right: { message: "\"a..b\" is not a pattern of topics: a segment is empty" }
    })
  })
})
