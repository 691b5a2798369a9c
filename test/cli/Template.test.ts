import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as ChildProcess from "node:child_process"
import type { TaskValue } from "../../packages/cli/src/batch/Input.ts"
import * as Template from "../../packages/cli/src/batch/Template.ts"

const render = (argv: ReadonlyArray<string>, value: TaskValue, index = 7) =>
  Either.getOrThrowWith(
    Template.render(Template.parse(argv), { index, value }),
    (problem) => new Error(problem)
  )

const name = FastCheck.stringMatching(/^[A-Za-z_][\w-]{0,8}$/)

const withoutNul = FastCheck.string({ unit: "grapheme" }).map((text) => text.replaceAll("\0", ""))

/** Text in which nothing can be taken for a placeholder. */
const text = withoutNul.map((given) => given.replaceAll("{", ""))

/** A piece of an argument, and what becomes of it for the line `a/b.c/d.tar.gz`. */
const piece = FastCheck.oneof(
  text.map((given) => ({ given, rendered: given })),
  FastCheck.constantFrom(
    { given: "{}", rendered: "a/b.c/d.tar.gz" },
    { given: "{#}", rendered: "7" },
    { given: "{/}", rendered: "d.tar.gz" },
    { given: "{.}", rendered: "a/b.c/d.tar" },
    { given: "{{}}", rendered: "{}" },
    { given: "{{#}}", rendered: "{#}" }
  ),
  name.map((field) => ({ given: `{{${field}}}`, rendered: `{${field}}` }))
)

describe("Template", () => {
  it.prop(
    "law: an argument is rendered piece by piece, with nothing lost or added",
    [FastCheck.array(piece)],
    ([all]) => {
      const [, argument] = render(["{#}", all.map(({ given }) => given).join("")], "a/b.c/d.tar.gz")
      expect(argument).toBe(all.map(({ rendered }) => rendered).join(""))
    }
  )

  it.prop("law: without a placeholder the arguments stay, and the task is the last one", [
    FastCheck.array(text, { minLength: 1 }),
    withoutNul
  ], ([argv, value]) => {
    expect(render(argv, value)).toEqual([...argv, value])
  })

  it.prop(
    "law: a field stands for its text, or for its JSON",
    [name, FastCheck.jsonValue()],
    ([field, given]) => {
      const value = { other: 1, [field]: given }
      const rendered = Template.render(Template.parse([`<{${field}}>`]), { index: 1, value })
      const shown = typeof given === "string" ? given : JSON.stringify(given)
      if (given === null || shown.includes("\0")) expect(Either.isLeft(rendered)).toBe(true)
      else expect(rendered).toEqual(Either.right([`<${shown}>`]))
    }
  )

  it("names a field that is not there, and does not find what objects inherit", () => {
    const missing = (field: string, value: TaskValue) =>
      Template.render(Template.parse([`{${field}}`]), { index: 1, value })
    expect(missing("b", { a: 1 })).toEqual(Either.left(`the task has no field "b"; it has a`))
    expect(missing("constructor", {})).toEqual(
      Either.left(`the task has no field "constructor"; it has none`)
    )
    expect(missing("b", "plain")).toEqual(
      Either.left("{b} names a field, and this task is plain text; write {{b}} for the text itself")
    )
  })

  it("leaves what is in braces and no placeholder as it is", () => {
    const awk = ["awk", "{print $1}", "{ }", "{1}", "{}}"]
    expect(render(awk, "x")).toEqual(["awk", "{print $1}", "{ }", "{1}", "x}"])
  })

  it("knows the program where it is the same for every task", () => {
    expect(Template.fixedProgram(Template.parse(["a b", "{}"]))).toBe("a b")
    expect(Template.fixedProgram(Template.parse(["./{}", "x"]))).toBeNull()
  })
})

describe("Template.shellQuote", () => {
  it("law: a shell reads every text as one word, itself", () => {
    // Many texts for one shell, since a shell each would take seconds.
    FastCheck.assert(
      FastCheck.property(FastCheck.array(withoutNul, { minLength: 1, maxLength: 20 }), (texts) => {
        const script = `printf '%s\\0' ${texts.map(Template.shellQuote).join(" ")}`
        const { stdout } = ChildProcess.spawnSync("/bin/sh", ["-c", script], { encoding: "utf8" })
        expect(stdout.split("\0").slice(0, -1)).toEqual(texts)
      }),
      { numRuns: 50, examples: [[["$(id) `id` \"x\" 'y' \\ \n ; & | * ~ # !", "", "-n", "'"]]] }
    )
  })

  it.prop("law: quoting is for what placeholders stand for alone", [text, withoutNul], ([around, value]) => {
    const template = Template.parse([`${around}{}${around}`])
    const rendered = Template.render(template, { index: 1, value }, Template.shellQuote)
    expect(rendered).toEqual(Either.right([`${around}${Template.shellQuote(value)}${around}`]))
  })
})
