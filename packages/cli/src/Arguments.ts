/**
 * Checks a command line by names before the parser reads it, which takes an option it does not know for an argument, and
 * does not say which option has a bad value.
 */
import * as AutoCorrect from "@effect/cli/AutoCorrect"
import * as CliConfig from "@effect/cli/CliConfig"
import * as CommandDescriptor from "@effect/cli/CommandDescriptor"
import type { Usage } from "@effect/cli/Usage"
import * as Either from "effect/Either"
import * as Option from "effect/Option"

type Descriptor = CommandDescriptor.Command<unknown>

/** Commands by name. */
export type Commands = Readonly<Record<string, Descriptor>>

/** The names of options, and what value each takes; `null` for one that takes none. */
type Known = ReadonlyMap<string, string | null>

/** Options that every command has. */
const builtIn: Known = new Map([
  ["--help", null],
  ["-h", null],
  ["--version", null],
  ["--wizard", null],
  ["--completions", "sh | bash | fish | zsh"],
  ["--log-level", "LEVEL"]
])

/**
 * Checks the names and values of a command line, and puts its operands behind its options: the parser takes no option
 * behind a `-`. Fails with what is wrong.
 */
export const check = (
  commands: Commands,
  argv: ReadonlyArray<string>
): Either.Either<ReadonlyArray<string>, string> => {
  if (argv[0] === "--log-level" && argv.length > 2) {
    return Either.map(check(commands, argv.slice(2)), (rest) => [...argv.slice(0, 2), ...rest])
  }
  const [name = "", sub = ""] = argv
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) {
    return isName(name) ? Either.left(unknownCommand(name, commands)) : sort([], builtIn, argv)
  }
  const subcommands = subcommandsOf(name, command)
  const found = Object.hasOwn(subcommands, sub) ? subcommands[sub] : undefined
  if (found !== undefined) return sort([name, sub], knownTo(found), argv.slice(2))
  return isName(sub) && Object.keys(subcommands).length > 0
    ? Either.left(unknownCommand(`${name} ${sub}`, subcommands))
    : sort([name], knownTo(command), argv.slice(1))
}

const isName = (argument: string): boolean => argument !== "" && !argument.startsWith("-")

/** A command without any is listed as its own. */
const subcommandsOf = (name: string, command: Descriptor): Commands => {
  const entries = Array.from(CommandDescriptor.getSubcommands(command))
  return Object.fromEntries(entries.filter(([own]) => own !== name))
}

const unknownCommand = (name: string, commands: Commands): string =>
  `unknown command ${name}: use ${Object.keys(commands).sort().join(", ")}`

const sort = (
  path: ReadonlyArray<string>,
  known: Known,
  argv: ReadonlyArray<string>
): Either.Either<ReadonlyArray<string>, string> => {
  const options = new Map<string, ReadonlyArray<string>>()
  const operands: Array<string> = []
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? ""
    const name = /^--?[A-Za-z][^=]*/.exec(argument)?.[0]
    if (name === undefined) {
      operands.push(argument)
      continue
    }
    const accepted = known.get(name)
    if (accepted === undefined) return Either.left(unknownOption(path, name, known))
    if (options.has(name)) return Either.left(`${name} is given twice`)
    const apart = accepted !== null && argument === name
    const value = apart ? argv[at + 1] : argument.slice(name.length + 1)
    const wrong = accepted === null ? null : valueProblem(accepted, value, apart)
    if (wrong !== null) return Either.left(`${name} ${wrong}`)
    options.set(name, argv.slice(at, at + (apart ? 2 : 1)))
    if (apart) at += 1
  }
  return Either.right([...path, ...Array.from(options.values()).flat(), ...operands])
}

const valueProblem = (accepted: string, value: string | undefined, apart: boolean): string | null => {
  if (value === undefined) return "needs a value"
  if (apart && value.startsWith("--")) return `needs a value, and ${value} looks like an option`
  if (accepted === "integer" && !/^-?\d+$/.test(value)) return `must be a whole number, not ${value}`
  const choices = accepted.split(" | ")
  return choices.length > 1 && !choices.includes(value)
    ? `must be one of ${choices.join(", ")}, not ${value}`
    : null
}

const knownTo = (command: Descriptor): Known =>
  new Map([...optionsOf(CommandDescriptor.getUsage(command)), ...builtIn])

const optionsOf = (usage: Usage): ReadonlyArray<readonly [string, string | null]> => {
  switch (usage._tag) {
    case "Empty":
    case "Mixed":
      return []
    case "Named":
      return usage.names.filter((name) => name.startsWith("-")).map((name) => [
        name,
        Option.getOrNull(usage.acceptedValues)
      ])
    case "Optional":
    case "Repeated":
      return optionsOf(usage.usage)
    case "Alternation":
    case "Concat":
      return [...optionsOf(usage.left), ...optionsOf(usage.right)]
  }
}

const unknownOption = (path: ReadonlyArray<string>, name: string, known: Known): string => {
  const meant = closest(name, Array.from(known.keys()))
  return `unknown option ${name}: ${
    meant === undefined ? `see ${["holdfast", ...path].join(" ")} --help` : `did you mean ${meant}?`
  }`
}

/** The option that begins like this, or is spelt almost like it. */
const closest = (name: string, known: ReadonlyArray<string>): string | undefined => {
  if (!name.startsWith("--")) return undefined
  const long = known.filter((option) => option.startsWith("--"))
  const distance = (option: string) => AutoCorrect.levensteinDistance(name, option, CliConfig.defaultConfig)
  return long.find((option) => option.startsWith(name)) ?? long.find((option) => distance(option) <= 2)
}
