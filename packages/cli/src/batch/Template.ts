/**
 * A command template: arguments with placeholders, filled in for each task.
 */
import * as Either from "effect/Either"
import * as path from "node:path"
import type { InputTask, TaskValue } from "./Input.ts"
import { textOf } from "./Input.ts"

type Segment =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Line" | "Number" | "Basename" | "Stem" }
  | { readonly _tag: "Field"; readonly name: string }

/** The arguments of a command, the program first. */
export interface Template {
  readonly args: ReadonlyArray<ReadonlyArray<Segment>>
}

/** `{{name}}` stands for `{name}` itself; what else is in braces and no placeholder is left as it is. */
const placeholder = /\{(\{[#/.]?\}|\{[A-Za-z_][\w-]*\})\}|\{([#/.]?|[A-Za-z_][\w-]*)\}/g

/** Reads a command. Without a placeholder the task's line is added as the last argument. */
export const parse = (argv: ReadonlyArray<string>): Template => {
  const args = argv.map(segmentsOf)
  const used = args.some((segments) => segments.some(({ _tag }) => _tag !== "Text"))
  return { args: used ? args : [...args, [{ _tag: "Line" }]] }
}

/** Whether the program itself is the same for every task, and then which. */
export const fixedProgram = ({ args }: Template): string | null => {
  const segments = args[0] ?? []
  return segments.every((segment) => segment._tag === "Text")
    ? segments.map((segment) => segment.text).join("")
    : null
}

/** Fills in a task; `quote` is applied to what placeholders stand for. Fails with the reason where one has no value. */
export const render = (
  { args }: Template,
  task: Pick<InputTask, "index" | "value">,
  quote: (text: string) => string = (text) => text
): Either.Either<ReadonlyArray<string>, string> =>
  Either.all(
    args.map((segments) =>
      Either.map(
        Either.all(segments.map((segment) =>
          Either.flatMap(fill(segment, task), (text) =>
            text.includes("\u0000")
              ? Either.left("it holds a NUL character, which no command can be given")
              : Either.right(segment._tag === "Text" ? text : quote(text)))
        )),
        (texts) => texts.join("")
      )
    )
  )

/** Quotes a text so that a POSIX shell reads it as one word. */
export const shellQuote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

const segmentsOf = (argument: string): ReadonlyArray<Segment> => {
  const segments: Array<Segment> = []
  let at = 0
  for (const match of argument.matchAll(placeholder)) {
    if (match.index > at) segments.push({ _tag: "Text", text: argument.slice(at, match.index) })
    segments.push(match[1] === undefined ? segmentOf(match[2] ?? "") : { _tag: "Text", text: match[1] })
    at = match.index + match[0].length
  }
  if (at < argument.length || segments.length === 0) segments.push({ _tag: "Text", text: argument.slice(at) })
  return segments
}

const segmentOf = (name: string): Segment => {
  switch (name) {
    case "":
      return { _tag: "Line" }
    case "#":
      return { _tag: "Number" }
    case "/":
      return { _tag: "Basename" }
    case ".":
      return { _tag: "Stem" }
    default:
      return { _tag: "Field", name }
  }
}

const fill = (segment: Segment, task: Pick<InputTask, "index" | "value">): Either.Either<string, string> => {
  switch (segment._tag) {
    case "Text":
      return Either.right(segment.text)
    case "Line":
      return Either.right(textOf(task.value))
    case "Number":
      return Either.right(String(task.index))
    case "Basename":
      return Either.right(path.basename(textOf(task.value)))
    case "Stem":
      return Either.right(withoutExtension(textOf(task.value)))
    case "Field":
      return fieldOf(task.value, segment.name)
  }
}

const withoutExtension = (text: string): string => {
  const extension = path.extname(text)
  return extension === "" ? text : text.slice(0, -extension.length)
}

const fieldOf = (value: TaskValue, name: string): Either.Either<string, string> => {
  if (typeof value === "string") {
    return Either.left(
      `{${name}} names a field, and this task is plain text; write {{${name}}} for the text itself`
    )
  }
  const field = Object.hasOwn(value, name) ? value[name] : undefined
  if (field === undefined || field === null) {
    return Either.left(`the task has no field "${name}"; it has ${Object.keys(value).join(", ") || "none"}`)
  }
  return Either.right(typeof field === "string" ? field : JSON.stringify(field))
}
