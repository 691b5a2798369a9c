import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Arguments from "../../packages/cli/src/Arguments.ts"

const leaf = Command.make("run", {
  fast: Options.boolean("fast"),
  count: Options.integer("count").pipe(Options.withAlias("c"), Options.withDefault(1)),
  file: Options.optional(Options.text("file")),
  files: Args.repeated(Args.text({ name: "FILE" }))
})

const show = Command.make("show", { color: Options.optional(Options.choice("color", ["red", "green"])) })

const commands: Arguments.Commands = {
  run: leaf.descriptor,
  items: Command.make("items").pipe(Command.withSubcommands([show, Command.make("drop")])).descriptor
}

const check = (line: string) => Arguments.check(commands, line.split(" ").filter((word) => word !== ""))

const options: FastCheck.Arbitrary<ReadonlyArray<string>> = FastCheck.oneof(
  FastCheck.constant(["--fast"]),
  FastCheck.constantFrom(["--count", "3"], ["-c", "-2"], ["--count=4"]),
  FastCheck.constantFrom(["--file", "a b"], ["--file=--odd"], ["--file", "-"])
)

const operand = FastCheck.constantFrom("-", "a", "--", "-5", "", "x=y", "items").map((word) => [word])

describe("Arguments.check", () => {
  it.prop("law: operands stand behind options, both in their order, and nothing is lost", [
    FastCheck.uniqueArray(options, { selector: ([word = ""]) => word.replace(/^-c|=.*/g, "") }),
    FastCheck.array(operand),
    FastCheck.func<[number], number>(FastCheck.nat())
  ], ([given, operands, order]) => {
    const unique = given.filter(([word = ""], index) =>
      given.findIndex(([other = ""]) => other.split("=")[0] === word.split("=")[0]) === index
    )
    const mixed = [
      ...unique.map((words, index) => ({ words, at: order(index), index })),
      ...operands.map((words, index) => ({ words, at: order(index + 100), index: index + 100 }))
    ].sort((a, b) => a.at - b.at || a.index - b.index)
    const words = mixed.flatMap((part) => part.words)
    const behind = (from: number, to: number) =>
      mixed.filter(({ index }) => index >= from && index < to).flatMap((part) => part.words)
    expect(Arguments.check(commands, ["run", ...words])).toEqual(
      Either.right(["run", ...behind(0, 100), ...behind(100, Infinity)])
    )
  })

  const problems: ReadonlyArray<readonly [line: string, problem: string]> = [
    ["ru", "unknown command ru: use items, run"],
    ["items shw", "unknown command items shw: use drop, show"],
    ["run --fsat", "unknown option --fsat: did you mean --fast?"],
    ["run --co 3", "unknown option --co: did you mean --count?"],
    ["run --other", "unknown option --other: see holdfast run --help"],
    ["run -x", "unknown option -x: see holdfast run --help"],
    ["items show --colour red", "unknown option --colour: did you mean --color?"],
    ["items --fast", "unknown option --fast: see holdfast items --help"],
    ["--fast run", "unknown option --fast: see holdfast --help"],
    ["run --count", "--count needs a value"],
    ["run --file --fast", "--file needs a value, and --fast looks like an option"],
    ["run --count x", "--count must be a whole number, not x"],
    ["run --count=1.5", "--count must be a whole number, not 1.5"],
    ["items show --color blue", "--color must be one of red, green, not blue"],
    ["run --file a --file b", "--file is given twice"]
  ]

  it.each(problems)("refuses %s: %s", (line, problem) => {
    expect(check(line)).toEqual(Either.left(problem))
  })

  it.each([
    "",
    "run",
    "run --help",
    "items",
    "items --help",
    "items show --color=red",
    "items show -h",
    "--version"
  ])(
    "lets %s pass",
    (line) => {
      expect(check(line)).toEqual(Either.right(line.split(" ").filter((word) => word !== "")))
    }
  )

  it("keeps the log level in front of the command", () => {
    expect(check("--log-level debug run - --fast")).toEqual(
      Either.right(["--log-level", "debug", "run", "--fast", "-"])
    )
  })
})
