/**
 * The input of a batch: tasks as plain lines or JSON Lines, all of them checked before anything starts.
 */
import * as Encoded from "@holdfast/agents/Encoded"
import * as Either from "effect/Either"
import { constants } from "node:buffer"

/** A task: its line, or the object or string its line encodes. */
export type TaskValue = string | Readonly<Record<string, unknown>>

/** One task and where it stands. */
export interface InputTask {
  /** From 1, in the order of the input; blank lines are not counted. */
  readonly index: number
  /** From 1, as an editor counts. */
  readonly line: number
  readonly value: TaskValue
}

/** Checked input. */
export interface Input {
  readonly format: "lines" | "json"
  readonly tasks: ReadonlyArray<InputTask>
}

/** Why an input is refused: `FILE:LINE: reason`. */
export type InputError = string

/** How large an input may be: what fits in one text. */
export const bytesMax = constants.MAX_STRING_LENGTH

/** Reads an input. `name` is its file, for messages. */
export const parse = (name: string, bytes: Uint8Array): Either.Either<Input, InputError> => {
  if (bytes.length > bytesMax) {
    return Either.left(`${name}: it has ${bytes.length} bytes; the limit is ${bytesMax}: split it`)
  }
  const text = decode(bytes)
  if (text === null) return Either.left(notText(name, bytes))
  const lines = text.split("\n").map((line, index) => ({
    line: index + 1,
    text: line.endsWith("\r") ? line.slice(0, -1) : line
  }))
  const filled = lines.filter((line) => line.text.trim() !== "")
  const first = filled[0]
  if (first === undefined) return Either.left(`${name}: there are no tasks in it`)
  const format = isTask(tryJson(first.text)) ? "json" : "lines"
  const tasks: Array<InputTask> = []
  for (const line of filled) {
    const value = Either.flatMap(
      format === "lines" ? Either.right(line.text) : jsonTask(line.text),
      ofStorableSize
    )
    if (Either.isLeft(value)) return Either.left(`${name}:${line.line}: ${value.left}`)
    tasks.push({ index: tasks.length + 1, line: line.line, value: value.right })
  }
  return Either.right({ format, tasks })
}

/** Writes tasks so that `parse` reads them again: as they were given, or as JSON where a line would be taken for it. */
export const render = (format: Input["format"], values: ReadonlyArray<TaskValue>): string => {
  const json = () => values.map((value) => `${JSON.stringify(value)}\n`).join("")
  if (format === "json") return json()
  const plain = values.map((value) => `${textOf(value)}\n`).join("")
  const again = parse("", new TextEncoder().encode(plain))
  const same = Either.isRight(again) && again.right.tasks.length === values.length &&
    again.right.tasks.every((task, index) => task.value === values[index])
  return same ? plain : json()
}

/** The text of a task, as `{}` gives it. */
export const textOf = (
  value: TaskValue
): string => (typeof value === "string" ? value : JSON.stringify(value))

const decode = (bytes: Uint8Array): string | null => {
  if (bytes.includes(0)) return null
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) return null
    throw error
  }
}

/** Names the first line that is not UTF-8 text. */
const notText = (name: string, bytes: Uint8Array): InputError => {
  let start = 0
  for (let line = 1; start <= bytes.length; line++) {
    const next = bytes.indexOf(10, start)
    const end = next < 0 ? bytes.length : next
    if (decode(bytes.subarray(start, end)) === null) {
      return `${name}:${line}: this is not UTF-8 text; is it a binary file?`
    }
    start = end + 1
  }
  return `${name}: this is not UTF-8 text`
}

const tryJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

const isTask = (value: unknown): value is TaskValue =>
  typeof value === "string" || (typeof value === "object" && value !== null && !Array.isArray(value))

const jsonTask = (text: string): Either.Either<TaskValue, string> => {
  try {
    const value: unknown = JSON.parse(text)
    if (!isTask(value)) return Either.left("a JSON task is an object or a string, and this line is neither")
    const inexact = inexactInteger(text)
    return inexact === undefined
      ? Either.right(value)
      : Either.left(`the number ${inexact} has more digits than a JSON number keeps: write it as a string`)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return Either.left(`this is not JSON, as the first line is: ${error.message}`)
  }
}

/** An id of 64 bits that was rounded would name another thing. */
const inexactInteger = (text: string): string | undefined =>
  /\d{16}/.test(text)
    ? text.replaceAll(/"(?:[^"\\]|\\.)*"/g, "").match(/-?\d[\d.eE+-]*/g)?.find(isRounded)
    : undefined

/** Every number is written with as many digits as tell it from others, which can be fewer than it has. */
const isRounded = (number: string): boolean =>
  /^-?\d+$/.test(number) && String(Number(number)) !== number && BigInt(number) !== BigInt(Number(number))

/** What counts is the value as it is stored: as JSON. */
const ofStorableSize = (value: TaskValue): Either.Either<TaskValue, string> => {
  const bytes = Encoded.byteLength(JSON.stringify(value))
  return bytes > taskBytesMax
    ? Either.left(`the task has ${bytes} bytes as JSON; the limit is ${taskBytesMax}`)
    : Either.right(value)
}

/** The limit on what is stored, less what the batch adds. */
const taskBytesMax = Encoded.bytesMaxDefault - 1_024
