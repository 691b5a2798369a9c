import * as Effect from "effect/Effect"
import type { ChildProcess } from "node:child_process"
import { setImmediate } from "node:timers"
import { OutputTail } from "./OutputTail.ts"
import { pollUntil } from "./pollUntil.ts"
import { ProcessGroup } from "./ProcessGroup.ts"

/** How long a group is waited for after SIGKILL: only what is stuck in the kernel, or not ours to kill, outlives it. */
const killedMillisMax = 5_000

/** How long what a command left behind may take to end by itself: `exec > >(tee log)` writes its last lines then. */
const lingerMillisMax = 100

/** How long the pipes of a group that was ended are read on: a process that left the group may hold them for ever. */
const drainMillisMax = 100

/** Turns of the event loop within which the pipes of a group that is gone report their end; two were seen at most. */
const closingTurnsMax = 4

/** A started command: the leader of a process group of its own, what it wrote and how it ended. */
export class RunningCommand {
  readonly stdout: OutputTail
  readonly stderr: OutputTail
  exitCode: number | null = null
  signal: string | null = null
  exited = false
  expired = false
  readonly #child: ChildProcess
  readonly #group: ProcessGroup
  readonly #elapsedMillis: () => number
  #durationMillis: number | undefined
  #closed = false
  #settled = false
  #leftMembers = false
  #resume: (() => void) | undefined

  constructor(child: ChildProcess, pid: number, maxOutputBytes: number, elapsedMillis: () => number) {
    this.stdout = new OutputTail(maxOutputBytes)
    this.stderr = new OutputTail(maxOutputBytes)
    this.#child = child
    this.#group = new ProcessGroup(pid)
    this.#elapsedMillis = elapsedMillis
    this.#listen()
  }

  /** Ends when the command has: its leader exited and its pipes closed, or there is a rest for `settle` to clear. */
  readonly ended: Effect.Effect<void> = Effect.async((resume) => {
    this.#resume = () => resume(Effect.void)
    if (this.#settled) this.#resume()
  })

  /** How long the leader has lived: until it exited, or until now. */
  get durationMillis(): number {
    return this.#durationMillis ?? this.#elapsedMillis()
  }

  /** Whether nothing is left of the command: no member of its group, no open pipe. */
  get isSettled(): boolean {
    return this.#closed && !this.#leftMembers
  }

  /** Ends `ended` for a command that still runs, because its time is up. */
  expire(): void {
    this.expired = !this.exited
    this.#settle()
  }

  /** Ends what is left of the command: waits for it a moment, unless its time is up, then stops it and closes its pipes. */
  settle(graceMillis: number): Effect.Effect<void> {
    const isOver = Effect.sync(() => this.#closed && !this.#isRunning())
    return pollUntil(isOver, this.expired ? 0 : lingerMillisMax).pipe(
      Effect.zipRight(
        Effect.suspend(() => this.#isRunning() ? this.#stopAndDrain(graceMillis) : Effect.void)
      ),
      Effect.zipRight(this.release)
    )
  }

  /** Sends SIGTERM to the group, SIGKILL when the grace has passed, and ends when no member runs. */
  stop(graceMillis: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.#isRunning()) return Effect.void
      this.#group.signal("SIGTERM")
      return Effect.flatMap(this.#gone(graceMillis), (gone) => gone ? Effect.void : this.#kill)
    })
  }

  /** Closes the pipes, whoever else holds them. */
  readonly release: Effect.Effect<void> = Effect.sync(() => {
    this.#child.stdin?.destroy()
    this.#child.stdout?.destroy()
    this.#child.stderr?.destroy()
    this.#child.unref()
  })

  readonly #kill: Effect.Effect<void> = Effect.suspend(() => {
    this.#group.signal("SIGKILL")
    return Effect.asVoid(this.#gone(killedMillisMax))
  })

  #stopAndDrain(graceMillis: number): Effect.Effect<void> {
    const isClosed = Effect.sync(() => this.#closed)
    return Effect.zipRight(this.stop(graceMillis), Effect.asVoid(pollUntil(isClosed, drainMillisMax)))
  }

  #gone(limitMillis: number): Effect.Effect<boolean> {
    return pollUntil(Effect.sync(() => !this.#isRunning()), limitMillis)
  }

  #isRunning(): boolean {
    return !this.exited || this.#group.isAlive()
  }

  #listen(): void {
    const { stderr, stdin, stdout } = this.#child
    stdout?.on("data", (chunk: Buffer) => this.stdout.push(chunk))
    stderr?.on("data", (chunk: Buffer) => this.stderr.push(chunk))
    for (const emitter of [this.#child, stdin, stdout, stderr]) emitter?.on("error", ignoreError)
    this.#child.on("exit", (code, signal) => this.#exit(code, signal))
    this.#child.on("close", () => this.#close())
  }

  #exit(code: number | null, signal: string | null): void {
    this.exited = true
    this.exitCode = code
    this.signal = signal
    this.#durationMillis = this.#elapsedMillis()
    this.#leftMembers = this.#group.isAlive()
    if (this.#leftMembers) this.#settle()
    else this.#awaitClose(closingTurnsMax)
  }

  #awaitClose(turns: number): void {
    if (this.#closed) return
    if (turns === 0) this.#settle()
    else setImmediate(() => this.#awaitClose(turns - 1))
  }

  #close(): void {
    this.#closed = true
    this.#settle()
  }

  #settle(): void {
    this.#settled = true
    this.#resume?.()
  }
}

/** A command that closes its input early, or a pipe that breaks, shows in how the command ends. */
const ignoreError = (): void => {}
