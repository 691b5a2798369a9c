/**
 * A host process is one life of a command host, and what it was asked and has not answered.
 */
import * as ProcessMarker from "@holdfast/core/ProcessMarker"
import type * as SystemCommand from "@holdfast/core/SystemCommand"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import process from "node:process"
import { fileURLToPath } from "node:url"
import * as HostMessage from "./HostMessage.ts"

/** The process that runs the commands did not start, or ended before it answered: the next command gets a new one. */
export class CommandHostFailed extends Schema.TaggedError<CommandHostFailed>()("CommandHostFailed", {
  reason: Schema.String
}) {
  override get message() {
    return `The process that runs the commands ${this.reason}`
  }
}

/** Why there is no result of a command. */
export type HostedError = SystemCommand.CommandError | CommandHostFailed

/** A command with its environment, which may not be that in which the host was started. */
export type HostedCommand = SystemCommand.CommandOptions & { readonly env: SystemCommand.Environment }

/** How long a host may take to end when it is no longer needed: 2 seconds, then it is killed. */
const closeMax = Duration.seconds(2)

/** Starts a host, in a session of its own: what a terminal sends to this process's group does not reach it. */
export const start: Effect.Effect<HostProcess, CommandHostFailed> = Effect.gen(function*() {
  const marker = Crypto.randomUUID()
  const ended = yield* Deferred.make<void>()
  const killLeftovers = yield* Effect.cached(Effect.uninterruptible(ProcessMarker.killMarked(marker)))
  return yield* Effect.try({
    try: () => new HostProcess(fork(), marker, ended, Effect.asVoid(killLeftovers)),
    catch: (error) => notStarted(error)
  })
})

/** One started host; what it runs bears its mark, so that it is found when the host is killed. */
export class HostProcess {
  readonly #child: ChildProcess.ChildProcess
  readonly #marker: string
  readonly #ended: Deferred.Deferred<void>
  readonly #killLeftovers: Effect.Effect<void>
  /** As many as the batch runs at once. */
  readonly #waiting = new Map<number, Resume>()
  #lastId = 0
  #environment: SystemCommand.Environment | null = null
  #failure: CommandHostFailed | null = null

  constructor(
    child: ChildProcess.ChildProcess,
    marker: string,
    ended: Deferred.Deferred<void>,
    killLeftovers: Effect.Effect<void>
  ) {
    this.#child = child
    this.#marker = marker
    this.#ended = ended
    this.#killLeftovers = killLeftovers
    child.on("message", (answer: HostMessage.Answer) => this.#settle(answer))
    child.on("error", (error) => child.pid === undefined && this.#end(notStarted(error)))
    // Its exit may be heard of before the last of its answers; its close is not, where this side closed the channel.
    child.on("exit", (code, signal) => child.connected || this.#end(endedWith(code, signal)))
    child.on("close", (code, signal) => this.#end(endedWith(code, signal)))
  }

  /** Whether it runs nothing any more. */
  get hasEnded(): boolean {
    return this.#failure !== null
  }

  /** Runs a command. When it is interrupted, it ends once nothing of the command is left. */
  run(command: HostedCommand): Effect.Effect<SystemCommand.CommandResult, HostedError> {
    return Effect.async((resume) => {
      if (this.#failure !== null) return resume(this.#failure)
      const id = ++this.#lastId
      this.#waiting.set(id, resume)
      this.#sendCommand(id, command)
      return this.#interrupt(id)
    })
  }

  /** Ends the host, and waits for it. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    if (this.#child.connected) this.#child.disconnect()
    const ended = Deferred.await(this.#ended)
    const kill = Effect.zipRight(Effect.sync(() => this.#child.kill("SIGKILL")), ended)
    return Effect.flatMap(
      Effect.timeoutOption(Effect.interruptible(ended), closeMax),
      (inTime) => inTime._tag === "Some" ? Effect.void : Effect.zipRight(kill, this.#killLeftovers)
    )
  })

  #interrupt(id: number): Effect.Effect<void> {
    return Effect.async((resume) => {
      if (!this.#waiting.has(id)) return resume(this.#failure === null ? Effect.void : this.#killLeftovers)
      this.#waiting.set(id, (answer) => resume(Effect.asVoid(Effect.exit(answer))))
      this.#send({ _tag: "Interrupt", id })
    })
  }

  #sendCommand(id: number, { env, killGrace, timeout, ...options }: HostedCommand): void {
    if (this.#environment !== env) {
      this.#environment = env
      this.#send({ _tag: "Environment", env: ProcessMarker.mark(env, this.#marker) })
    }
    this.#send({
      _tag: "Run",
      id,
      options: {
        ...options,
        ...(timeout === undefined ? {} : { timeout: Duration.toMillis(timeout) }),
        ...(killGrace === undefined ? {} : { killGrace: Duration.toMillis(killGrace) })
      }
    })
  }

  /** What cannot be sent is answered when the host is seen to have ended. */
  #send(request: HostMessage.Request): void {
    this.#child.send(request, () => {})
  }

  #settle(answer: HostMessage.Answer): void {
    const resume = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    resume?.(toEffect(answer))
  }

  #end(failure: CommandHostFailed): void {
    this.#failure ??= failure
    const waiting = Array.from(this.#waiting.values())
    this.#waiting.clear()
    for (const resume of waiting) resume(Effect.zipRight(this.#killLeftovers, this.#failure))
    Deferred.unsafeDone(this.#ended, Effect.void)
  }
}

// internal

type Resume = (answer: Effect.Effect<SystemCommand.CommandResult, HostedError>) => void

/** The bundle's second entry, beside the file that this module is bundled in. */
const entry = fileURLToPath(new URL("command-host.js", import.meta.url))

/** The less memory the host has, the faster it starts commands; it makes little garbage. */
const fork = (): ChildProcess.ChildProcess =>
  ChildProcess.fork(entry, [String(process.pid)], {
    execArgv: ["--max-semi-space-size=1", "--no-opt"],
    detached: true,
    serialization: "advanced",
    stdio: ["ignore", "ignore", "inherit", "ipc"]
  })

const notStarted = (error: unknown) =>
  new CommandHostFailed({
    reason: `could not be started: ${error instanceof Error ? error.message : String(error)}`
  })

const endedWith = (code: number | null, signal: NodeJS.Signals | null) =>
  new CommandHostFailed({
    reason: `ended with ${
      signal ?? `exit code ${code}`
    } before the command had; what the command did is not known`
  })

const decodeError = Schema.decodeSync(HostMessage.CommandError)

const toEffect = (
  answer: HostMessage.Answer
): Effect.Effect<SystemCommand.CommandResult, SystemCommand.CommandError> => {
  switch (answer._tag) {
    case "Ended":
      return Effect.succeed(answer.result)
    case "Failed":
      return Effect.fail(decodeError(answer.error))
    case "Defect":
      return Effect.dieMessage(answer.detail)
    case "Interrupted":
      return Effect.interrupt
  }
}
