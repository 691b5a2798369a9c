/**
 * What makes a batch the same batch: its name, its input and its command.
 */
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import * as path from "node:path"
import type { Input } from "./Input.ts"

/** What a batch's queue remembers of it. */
export const Label = Schema.parseJson(Schema.TaggedStruct("Batch", {
  /** SHA-256 of the tasks. */
  input: Schema.String,
  /** SHA-256 of the command. */
  command: Schema.String,
  tasks: Schema.Number
}))
export type Label = typeof Label.Type

/** A command as given. */
export interface CommandLine {
  readonly argv: ReadonlyArray<string>
  readonly shell: boolean
}

/** The label of an input and a command. */
export const label = (input: Input, command: CommandLine): Label => ({
  _tag: "Batch",
  input: hash(input.tasks.map((task) => task.value)),
  command: hash([command.shell, ...command.argv]),
  tasks: input.tasks.length
})

/** Names a label in few characters: a task bears it, so that nobody runs it with the command of another batch. */
export const fingerprint = ({ command, input }: Label): string => input.slice(0, 8) + command.slice(0, 8)

/** The name of a batch that was given none: the input's file name, and a hash of its absolute path and the command. */
export const defaultName = (file: string, directory: string, command: CommandLine): string => {
  const absolute = file === "-" ? `${directory}/-` : path.resolve(directory, file)
  const stem = file === "-" ? "stdin" : path.basename(file).replace(/[^\w.-]+/g, "-")
  return `${stem}-${hash([absolute, command.shell, ...command.argv]).slice(0, 8)}`
}

/** What differs between two labels, for a message. */
export const difference = (known: Label, given: Label): string => {
  const differing = [
    known.input === given.input ? [] : ["input"],
    known.command === given.command ? [] : ["command"]
  ]
  return differing.flat().join(" and ")
}

const hash = (value: ReadonlyArray<unknown>): string => {
  const sum = createHash("sha256")
  // Item by item: an input may be larger than the longest string.
  for (const item of value) sum.update(JSON.stringify(item)).update("\n")
  return sum.digest("hex")
}
