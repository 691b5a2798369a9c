/**
 * A result: the line that `holdfast batch --out` wrote for one package, read back.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { Inspection } from "./inspection.ts"

/** What became of a package: its inspection, or why there is none. */
export type Outcome = { readonly inspection: Inspection } | { readonly failure: string }

/** The outcomes by package path, and what is wrong with single lines, as `NAME:LINE: reason`. */
export interface Results {
  readonly outcomes: ReadonlyMap<string, Outcome>
  readonly problems: ReadonlyArray<string>
}

/** Reads the results of a batch; `name` is what the problems call the file. */
export const readResults = (name: string, text: string): Results => {
  const outcomes = new Map<string, Outcome>()
  const problems: Array<string> = []
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue
    const read = readLine(line)
    const problem = Either.isLeft(read) ? read.left : add(outcomes, read.right)
    if (problem !== undefined) problems.push(`${name}:${index + 1}: ${problem.replaceAll(/\s+/g, " ")}`)
  }
  return { outcomes, problems }
}

// internal

const Line = Schema.parseJson(Schema.Struct({
  task: Schema.Struct({ path: Schema.String }),
  status: Schema.Literal("ok", "failed", "skipped"),
  exitCode: Schema.optional(Schema.NullOr(Schema.Int)),
  signal: Schema.optional(Schema.NullOr(Schema.String)),
  stdout: Schema.optional(Schema.NullOr(Schema.String)),
  stderr: Schema.optional(Schema.NullOr(Schema.String))
}))

const Printed: Schema.Schema<Inspection, string> = Schema.parseJson(Schema.Struct({
  name: Schema.String,
  version: Schema.String,
  path: Schema.String,
  declared: Schema.NullOr(Schema.String),
  texts: Schema.Array(Schema.Struct({ file: Schema.String, licences: Schema.Array(Schema.String) })),
  agreement: Schema.Literal("agree", "differ", "unknown", "declared only", "text only", "none"),
  files: Schema.NonNegativeInt,
  bytes: Schema.NonNegativeInt,
  symlinks: Schema.NonNegativeInt,
  sha256: Schema.String
}))

interface Finished {
  readonly path: string
  readonly outcome: Outcome
}

const decode = <A>(schema: Schema.Schema<A, string>) => {
  const decoder = Schema.decodeUnknownEither(schema)
  return (text: string) => Either.mapLeft(decoder(text), ParseResult.TreeFormatter.formatErrorSync)
}

const decodeLine = decode(Line)
const decodePrinted = decode(Printed)

const readLine = (line: string): Either.Either<Finished, string> =>
  Either.flatMap(decodeLine(line), finishedOf)

const finishedOf = (result: typeof Line.Type): Either.Either<Finished, string> => {
  const { path } = result.task
  if (result.status !== "ok") return Either.right({ path, outcome: { failure: failureOf(result) } })
  return Either.mapBoth(decodePrinted(result.stdout ?? ""), {
    onLeft: (reason) => `${path}: not an inspection: ${reason}`,
    onRight: (inspection) => ({ path, outcome: { inspection } })
  })
}

const failureOf = (result: typeof Line.Type): string => {
  if (result.status === "skipped") return "skipped"
  const said = (result.stderr ?? "").trim().split("\n").at(-1) ?? ""
  if (said !== "") return said
  return result.signal ? `ended by ${result.signal}` : `exit code ${result.exitCode ?? "unknown"}`
}

const add = (outcomes: Map<string, Outcome>, { path, outcome }: Finished): string | undefined => {
  if (outcomes.has(path)) return `${path} has a result already`
  outcomes.set(path, outcome)
  return undefined
}
