/**
 * The input of a batch: tasks as plain lines or JSON Lines, all of them checked before anything starts.
 */
import * as Encoded from "@holdfast/agents/Encoded"
import * as Either from "effect/Either"

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

/** Reads an input. `name` is its file, for messages. */
export const parse = (name: string, bytes: Uint8Array): Either.Either<Input, InputError> => {
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
    const value = format === "lines" ? Either.right(line.text) : jsonTask(line.text)
    const problem = Either.isLeft(value) ? value.left : checkSize(line.text)
    if (problem !== null) return Either.left(`${name}:${line.line}: ${problem}`)
    if (Either.isRight(value)) tasks.push({ index: tasks.length + 1, line: line.line, value: value.right })
  }
  return Either.right({ format, tasks })
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
    return isTask(value)
      ? Either.right(value)
      : Either.left("a JSON task is an object or a string, and this line is neither")
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return Either.left(`this is not JSON, as the first line is: ${error.message}`)
  }
}

const checkSize = (text: string): string | null => {
  const bytes = Encoded.byteLength(text)
  return bytes > Encoded.bytesMaxDefault - overhead
    ? `the task has ${bytes} bytes; the limit is ${Encoded.bytesMaxDefault - overhead}`
    : null
}

/** What the batch adds to a line when it stores it. */
const overhead = 1_024
