/**
 * The task of a batch in its queue: what is stored of the input, and of how the command ended.
 */
import type { Task } from "@holdfast/agents/Task"
import * as TaskOutcome from "@holdfast/agents/TaskOutcome"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import * as SystemCommand from "@holdfast/core/SystemCommand"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { iso } from "../Table.ts"

/** What is stored of a task's input. */
export const Payload = Schema.Struct({
  index: Schema.Number,
  task: Schema.Union(Schema.String, Schema.Record({ key: Schema.String, value: Schema.Unknown })),
  /** The fingerprint of its batch. */
  batch: Schema.String
})
export type Payload = typeof Payload.Type

/** The command ended with something else than exit code 0, or could not be started. */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", {
  result: SystemCommand.CommandResult
}) {}

/** The queue of a batch; it bears the batch's name. */
export const queue = (name: string, attemptsMax: number) =>
  TaskQueue.make(name, {
    payload: Payload,
    success: SystemCommand.CommandResult,
    error: CommandFailed,
    attemptsMax
  })

/** What `--out` says of one finished task. Times are ISO 8601 and milliseconds. */
export interface ResultLine {
  readonly index: number
  readonly task: Payload["task"]
  readonly status: "ok" | "failed" | "skipped"
  readonly exitCode: number | null
  readonly signal: string | null
  readonly timedOut: boolean
  readonly attempts: number
  readonly startedAt: string | null
  readonly durationMillis: number | null
  readonly stdout: string
  readonly stderr: string
  readonly truncated: boolean
}

const codecs = queue("", 1)

/** Makes the result line of a finished task. */
export const resultLine = (task: Task): Effect.Effect<ResultLine> =>
  Effect.gen(function*() {
    const payload = yield* codecs.payload.decode(task.payload)
    const outcome = task.outcome === null ? null : yield* TaskOutcome.decode(codecs, task.outcome)
    const status = task.status === "completed" ? "ok" : task.status === "dead" ? "failed" : "skipped"
    const base = { index: payload.index, task: payload.task, status, attempts: task.attempt } as const
    if (outcome?._tag === "Success") return { ...base, ...ended(outcome.value) }
    if (outcome?._tag === "Failure") return { ...base, ...ended(outcome.error.result) }
    return { ...base, ...neverEnded(task, outcome) }
  }).pipe(Effect.orDie)

const ended = (result: SystemCommand.CommandResult) => ({
  exitCode: result.exitCode,
  signal: result.signal,
  timedOut: result.timedOut,
  startedAt: iso(result.startedAtMillis),
  durationMillis: result.durationMillis,
  stdout: result.stdout,
  stderr: result.stderr,
  truncated: result.truncated
})

const neverEnded = (task: Task, outcome: TaskOutcome.Decoded<unknown, unknown> | null) => ({
  exitCode: null,
  signal: null,
  timedOut: false,
  startedAt: task.startedAtMillis === null ? null : iso(task.startedAtMillis),
  durationMillis: null,
  stdout: "",
  stderr: outcome?._tag === "Lost"
    ? "holdfast was killed while the command ran"
    : outcome?._tag === "Defect"
    ? outcome.detail
    : "",
  truncated: false
})
