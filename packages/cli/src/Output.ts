/**
 * Output: results on stdout, prose and progress on stderr, and escape codes only where a terminal reads them.
 */
import * as SystemCommand from "@holdfast/core/SystemCommand"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import process from "node:process"

/** Writes to the two streams of the command. */
export class Output extends Context.Tag("@holdfast/cli/Output")<Output, {
  /** Writes a line of result to stdout. */
  readonly result: (line: string) => Effect.Effect<void>
  /** Writes a line of prose to stderr. */
  readonly say: (line: string) => Effect.Effect<void>
  /** Writes to stderr as it is: a progress line that is written over. */
  readonly draw: (text: string) => Effect.Effect<void>
  /** Whether stderr is a terminal that may be drawn on. */
  readonly interactive: boolean
  /** Whether colours are welcome where there is a terminal: `NO_COLOR` is not set. **Source** no-color.org. */
  readonly colours: boolean
}>() {}

/** Removes colours and cursor movements. */
export const plain = (text: string): string => text.replace(escapeCode, "")

// oxlint-disable-next-line no-control-regex -- an escape code is made of control characters
const escapeCode = /\u001b\[[0-9;?]*[A-Za-z]/g

/** The streams of this process. A reader of stdout that goes away ends the writing, not the work. */
export const layer: Layer.Layer<Output> = Layer.effect(
  Output,
  Effect.map(SystemCommand.inheritedEnvironment, (environment) => ({
    result: (line) => write(1, `${line}\n`),
    // On a terminal it takes the place of a progress line.
    say: (line) => write(2, `${process.stderr.isTTY ? `\r\u001b[K${line}` : plain(line)}\n`),
    draw: (text) => write(2, text),
    interactive: process.stderr.isTTY,
    colours: (environment["NO_COLOR"] ?? "") === ""
  }))
)

const write = (descriptor: number, text: string): Effect.Effect<void> =>
  Effect.suspend(() => writeFrom(descriptor, Buffer.from(text), 0))

/** A pipe that is full refuses for the moment (EAGAIN): what is left is written a little later. */
const writeFrom = (descriptor: number, bytes: Buffer, from: number): Effect.Effect<void> => {
  let at = from
  try {
    while (at < bytes.length) at += fs.writeSync(descriptor, bytes, at)
    return Effect.void
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error
    if (error.code === "EPIPE") return Effect.void
    if (error.code !== "EAGAIN") throw error
    return Effect.delay(Effect.suspend(() => writeFrom(descriptor, bytes, at)), "5 millis")
  }
}
