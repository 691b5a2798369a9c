/**
 * A system command is a program of the operating system run to its end: arguments without a shell, bounded output,
 * bounded time, and nothing of it left running.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Schema from "effect/Schema"
import { constants } from "node:buffer"
import * as ChildProcess from "node:child_process"
import * as FileSystem from "node:fs"
import * as Process from "node:process"
import * as Util from "node:util"
import { RunningCommand } from "./internal/RunningCommand.ts"

/** The whole environment of a command, by name. */
export type Environment = Readonly<Record<string, string>>

/** What every command accepts, however it is named. */
export interface CommandSettings {
  /** Directory to run in; that of this process by default. A relative command path is looked up from it. */
  readonly cwd?: string
  /**
   * The *whole* environment, `PATH` included; that of this process by default. Pass one object to many commands rather
   * than a copy each: see `inheritedEnvironment`.
   */
  readonly env?: Environment
  /** What the command reads from its standard input, as UTF-8; nothing by default. */
  readonly stdin?: string
  /** How long the command may run before its process group is ended, by the `Clock`; no limit by default. */
  readonly timeout?: Duration.DurationInput
  /** How long a group may outlive SIGTERM before it gets SIGKILL, in real time; 5 seconds by default. */
  readonly killGrace?: Duration.DurationInput
  /** How many bytes of each output stream are kept, the last ones; 64 KiB by default. */
  readonly maxOutputBytes?: number
}

/** A program and its arguments, passed as they are. */
export interface CommandOptions extends CommandSettings {
  /** A path, or a name looked up in the `PATH` of the command's environment. */
  readonly command: string
  readonly args?: ReadonlyArray<string>
}

/** A script for `/bin/sh`. */
export interface ShellOptions extends CommandSettings {
  readonly script: string
}

/** What a command gets where its options say nothing. */
export const defaults = { killGraceMillis: 5_000, maxOutputBytes: 64 * 1024 } as const

/**
 * How a command ended and what it wrote.
 *
 * `exitCode` is null when a signal ended it, `signal` when none did; both are null for a command that could not be
 * killed. `timedOut` says that the timeout ended it, whatever it made of SIGTERM. `stdout` and `stderr` are the last
 * `maxOutputBytes` of each, malformed UTF-8 replaced by U+FFFD; `truncated` says that one of them had more.
 * `durationMillis` is the life of the command itself, by the monotonic clock, in steps of a microsecond.
 */
export const CommandResult = Schema.Struct({
  exitCode: Schema.NullOr(Schema.Int),
  signal: Schema.NullOr(Schema.String),
  timedOut: Schema.Boolean,
  stdout: Schema.String,
  stderr: Schema.String,
  truncated: Schema.Boolean,
  startedAtMillis: Schema.Number,
  durationMillis: Schema.Number
})

/** How a command ended and what it wrote. */
export interface CommandResult extends Schema.Schema.Type<typeof CommandResult> {}

/** There is no such program, or a script's interpreter is missing: install it, or correct the name or `PATH`. */
export class CommandNotFound extends Schema.TaggedError<CommandNotFound>("@holdfast/core/CommandNotFound")(
  "CommandNotFound",
  { command: Schema.String }
) {
  override get message() {
    return `Command not found: ${this.command}`
  }
}

/**
 * The operating system or Node refused to start a command.
 *
 * `code` is the system's (`EACCES`, `E2BIG`, `ENOENT` for a missing `cwd`, `EAGAIN` and `EMFILE` when it is out of
 * processes or files, which may pass) or Node's (`ERR_INVALID_ARG_VALUE` for a NUL, `ERR_OUT_OF_RANGE`).
 */
export class CommandFailedToStart
  extends Schema.TaggedError<CommandFailedToStart>("@holdfast/core/CommandFailedToStart")(
    "CommandFailedToStart",
    {
      command: Schema.String,
      cwd: Schema.optionalWith(Schema.String, { exact: true }),
      code: Schema.String,
      reason: Schema.String
    }
  )
{
  override get message() {
    const place = this.cwd === undefined ? "" : ` in ${this.cwd}`
    return `Command ${this.command} could not be started${place}: ${this.reason} (${this.code})`
  }
}

/** Why a command did not start. What it did once started is a `CommandResult`. */
export type CommandError = CommandNotFound | CommandFailedToStart

/**
 * Runs a program in a process group of its own and waits until nothing of that group is left.
 *
 * A non-zero exit, a signal and a timeout are results. On timeout and on interruption the group gets SIGTERM and,
 * after `killGrace`, SIGKILL; so do members that run on for 100 ms after the program itself. Descendants that left the
 * group are not killed, and their pipes are closed after the same 100 ms: `ProcessMarker` finds them. What cannot be
 * killed (another user's, stuck in the kernel) is given up 5 s after SIGKILL. POSIX only.
 *
 * @example
 * import { SystemCommand } from "@holdfast/core/node"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const result = yield* SystemCommand.run({ command: "git", args: ["fetch"], timeout: "1 minute" })
 *   return result.exitCode === 0 ? result.stdout : result.stderr
 * })
 */
export const run = (options: CommandOptions): Effect.Effect<CommandResult, CommandError> =>
  Effect.clockWith((clock) =>
    Effect.uninterruptibleMask((restore) => {
      const startedAtMillis = clock.unsafeCurrentTimeMillis()
      const graceMillis = Duration.toMillis(options.killGrace ?? defaults.killGraceMillis)
      return Effect.flatMap(start(options, stopwatch(clock)), (running) =>
        restore(awaitEnd(running, options.timeout)).pipe(
          Effect.onInterrupt(() =>
            Effect.zipRight(running.stop(graceMillis), running.release)
          ),
          Effect.flatMap((timedOut) => {
            if (!timedOut && running.isSettled) {
              return Effect.succeed(toResult(running, startedAtMillis, false))
            }
            return Effect.map(running.settle(graceMillis), () => toResult(running, startedAtMillis, timedOut))
          })
        ))
    })
  )

/** Runs a script with `/bin/sh -c`, where every word of it is the shell's to interpret. Otherwise like `run`. */
export const shell = ({ script, ...settings }: ShellOptions): Effect.Effect<CommandResult, CommandError> =>
  run({ ...settings, command: "/bin/sh", args: ["-c", script] })

/** A copy of the environment of this process, as it is now: read it once, add to it, and give it to many commands. */
export const inheritedEnvironment: Effect.Effect<Environment> = Effect.sync(() => {
  const environment: Record<string, string> = {}
  for (const [name, value] of Object.entries(Process.env)) {
    if (value !== undefined) environment[name] = value
  }
  return environment
})

// internal

/** Listens before it returns: a fiber may yield at any step, and Node reports what no listener hears by crashing. */
const start = (
  options: CommandOptions,
  elapsedMillis: () => number
): Effect.Effect<RunningCommand, CommandError> => {
  const maxOutputBytes = options.maxOutputBytes ?? defaults.maxOutputBytes
  if (!isOutputBound(maxOutputBytes)) return Effect.fail(outputBoundOutOfRange(options))
  try {
    const child = spawn(options)
    if (child.pid === undefined) return emittedFailure(options, child)
    const running = new RunningCommand(child, child.pid, maxOutputBytes, elapsedMillis)
    child.stdin?.end(options.stdin)
    return Effect.succeed(running)
  } catch (cause) {
    return failStart(options, cause)
  }
}

const spawn = (options: CommandOptions): ChildProcess.ChildProcess =>
  ChildProcess.spawn(options.command, options.args ?? [], {
    cwd: options.cwd,
    env: options.env,
    detached: true,
    stdio: [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"]
  })

/** Most reasons not to start are thrown; a missing file, a permission and exhaustion are emitted a tick later. */
const emittedFailure = (
  options: CommandOptions,
  child: ChildProcess.ChildProcess
): Effect.Effect<never, CommandError> => {
  const failure = Deferred.unsafeMake<never, CommandError>(FiberId.none)
  child.once("error", (error) => Deferred.unsafeDone(failure, failStart(options, error)))
  return Deferred.await(failure)
}

/** Waits for the end or the timeout; answers whether it was the timeout that ended a command still running. */
const awaitEnd = (
  running: RunningCommand,
  timeout: Duration.DurationInput | undefined
): Effect.Effect<boolean> => {
  if (timeout === undefined) return Effect.as(running.ended, false)
  const expire = Effect.zipRight(Effect.sleep(timeout), Effect.sync(() => running.expire()))
  return Effect.flatMap(Effect.fork(expire), (timer) =>
    running.ended.pipe(
      Effect.ensuring(Fiber.interruptAsFork(timer, FiberId.none)),
      Effect.map(() => running.expired)
    ))
}

const stopwatch = (clock: Clock.Clock): () => number => {
  const startedNanos = clock.unsafeCurrentTimeNanos()
  return () => Number((clock.unsafeCurrentTimeNanos() - startedNanos) / 1_000n) / 1_000
}

const toResult = (running: RunningCommand, startedAtMillis: number, timedOut: boolean): CommandResult => ({
  exitCode: running.exitCode,
  signal: running.signal,
  timedOut,
  stdout: running.stdout.text(),
  stderr: running.stderr.text(),
  truncated: running.stdout.truncated || running.stderr.truncated,
  startedAtMillis,
  durationMillis: running.durationMillis
})

/** What Node throws or emits when it cannot start a process. */
interface SystemError extends Error {
  readonly code: string
  readonly errno?: number
}

const isSystemError = (cause: unknown): cause is SystemError =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string"

const failStart = (options: CommandOptions, cause: unknown): Effect.Effect<never, CommandError> =>
  isSystemError(cause) ? Effect.fail(toCommandError(options, cause)) : Effect.die(cause)

const toCommandError = (options: CommandOptions, error: SystemError): CommandError => {
  if (error.code !== "ENOENT") return failedToStart(options, error.code, reasonOf(error))
  return options.cwd === undefined || FileSystem.existsSync(options.cwd)
    ? new CommandNotFound({ command: options.command })
    : failedToStart(options, error.code, "the working directory does not exist")
}

const failedToStart = ({ command, cwd }: CommandOptions, code: string, reason: string) =>
  new CommandFailedToStart({ command, code, reason, ...(cwd === undefined ? {} : { cwd }) })

const reasonMax = 200

const reasonOf = (error: SystemError): string => {
  const described = error.errno === undefined ? undefined : Util.getSystemErrorMap().get(error.errno)
  return described?.[1] ?? error.message.slice(0, reasonMax)
}

const isOutputBound = (bytes: number): boolean =>
  Number.isInteger(bytes) && bytes >= 0 && bytes <= constants.MAX_STRING_LENGTH

const outputBoundOutOfRange = (options: CommandOptions) =>
  failedToStart(
    options,
    "ERR_OUT_OF_RANGE",
    `maxOutputBytes must be a whole number from 0 to ${constants.MAX_STRING_LENGTH}`
  )
