import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Input from "../../packages/cli/src/batch/Input.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

const parse = (text: string) => Input.parse("in", bytes(text))

const parsed = (text: string): Input.Input =>
  Either.getOrThrowWith(parse(text), (problem) => new Error(problem))

const values = (input: Input.Input) => input.tasks.map((task) => task.value)

const isBlank = (text: string) => text.trim() === ""

const isJsonTask = (text: string) => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "string" || (typeof value === "object" && value !== null && !Array.isArray(value))
  } catch {
    return false
  }
}

/** A line as a text editor writes it. */
const line = FastCheck.string({ unit: "grapheme" }).map((text) =>
  text.replaceAll(/[\n\r\0]/g, "").replace(/^\ufeff/, "")
)

const plainLine = line.filter((text) => !isBlank(text) && !isJsonTask(text))

const blank = FastCheck.constantFrom("", " ", "\t", "\r")

/** An object that JSON keeps as it is. */
const object = FastCheck.dictionary(
  FastCheck.string().filter((name) => name !== "__proto__"),
  FastCheck.jsonValue({ maxDepth: 2 }),
  { maxKeys: 4 }
).map((value): Input.TaskValue => JSON.parse(JSON.stringify(value)))

const task: FastCheck.Arbitrary<Input.TaskValue> = FastCheck.oneof(
  object,
  FastCheck.string({ unit: "grapheme" })
)

describe("Input.parse", () => {
  it.prop("law: lines are tasks as they are, without blank ones, whatever ends them", [
    FastCheck.array(FastCheck.tuple(plainLine, FastCheck.array(blank, { maxLength: 2 })), { minLength: 1 }),
    FastCheck.constantFrom("\n", "\r\n"),
    FastCheck.boolean()
  ], ([lines, end, last]) => {
    const text = lines.map(([plain, blanks]) => [...blanks, plain].join(end)).join(end) + (last ? end : "")
    const input = parsed(text)
    expect(input.format).toBe("lines")
    expect(values(input)).toEqual(lines.map(([plain]) => plain))
    const physical = text.split(end)
    for (const { line: number, value } of input.tasks) expect(physical[number - 1]).toBe(value)
    expect(input.tasks.map((task) => task.index)).toEqual(lines.map((_, index) => index + 1))
  })

  it.prop(
    "law: JSON Lines are read as they were written",
    [FastCheck.array(task, { minLength: 1 })],
    ([tasks]) => {
      const input = parsed(tasks.map((value) => `${JSON.stringify(value)}\n`).join(""))
      expect(input.format).toBe("json")
      expect(values(input)).toEqual(tasks)
    }
  )

  it.prop("law: the first line that is no JSON task is named, counted with blank ones", [
    FastCheck.array(task, { minLength: 1 }),
    FastCheck.nat(3),
    FastCheck.oneof(plainLine, FastCheck.constantFrom("1", "null", "[1]", "true", `{"a":`))
  ], ([tasks, blanks, bad]) => {
    const good = tasks.map((value) => `${JSON.stringify(value)}\n`).join("")
    const number = tasks.length + blanks + 1
    const problem = Either.getOrThrow(Either.flip(parse(`${good}${"\n".repeat(blanks)}${bad}\n${bad}`)))
    expect(problem).toMatch(new RegExp(`^in:${number}: (this is not JSON|a JSON task is)`))
  })

  it.prop("law: bytes that are no text are refused with their line", [
    FastCheck.nat(5),
    FastCheck.constantFrom(0, 0xff, 0xc0)
  ], ([
    before,
    bad
  ]) => {
    const text = bytes("x\n".repeat(before))
    expect(Input.parse("in", new Uint8Array([...text, bad, 10]))).toEqual(
      Either.left(`in:${before + 1}: this is not UTF-8 text; is it a binary file?`)
    )
  })

  it("leaves a byte order mark out", () => {
    expect(values(parsed("\ufeffone\n"))).toEqual(["one"])
    expect(values(parsed(`\ufeff{"a":1}\n`))).toEqual([{ a: 1 }])
  })

  it("refuses whole numbers that would be rounded, and no others", () => {
    const exact = [`{"a":9007199254740993}`, `{"a":[-12345678901234567891]}`]
    for (const text of exact) expect(Either.isLeft(parse(text))).toBe(true)
    const kept = [
      `{"a":9007199254740992}`,
      `{"a":"9007199254740993"}`,
      `{"9007199254740993":1}`,
      `{"a":0.12345678901234567}`,
      `{"a":-21868782358892550}`,
      `{"a":1000000000000000000000}`
    ]
    for (const text of kept) expect(values(parsed(text))).toEqual([JSON.parse(text)])
  })

  it("refuses a task above the limit on what is stored, and none at it", () => {
    const limit = 1024 * 1024 - 1024
    expect(Either.isRight(parse("x".repeat(limit - 2)))).toBe(true)
    expect(parse("x".repeat(limit - 1))).toEqual(
      Either.left(`in:1: the task has ${limit + 1} bytes as JSON; the limit is ${limit}`)
    )
  })
})

describe("Input.render", () => {
  it.prop("law: what it writes of any tasks is read as the same tasks", [
    FastCheck.oneof(
      FastCheck.tuple(FastCheck.constant("json" as const), FastCheck.array(task)),
      FastCheck.tuple(
        FastCheck.constant("lines" as const),
        FastCheck.array(line.filter((text) => !isBlank(text)))
      )
    )
  ], ([[format, tasks]]) => {
    const text = Input.render(format, tasks)
    expect(tasks.length === 0 ? text : values(parsed(text))).toEqual(tasks.length === 0 ? "" : tasks)
  })

  it.prop(
    "law: lines stay lines where none of them would be taken for JSON",
    [FastCheck.array(plainLine)],
    ([lines]) => {
      expect(Input.render("lines", lines)).toBe(lines.map((text) => `${text}\n`).join(""))
    }
  )
})
