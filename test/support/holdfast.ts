import Database from "better-sqlite3"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Process from "node:process"
import { fileURLToPath } from "node:url"
import type { ResultLine } from "../../packages/cli/src/batch/BatchTask.ts"
import { eventually, markedPids, readIfPresent, temporaryDirectory } from "./command-processes.ts"

/** The `holdfast` command as it is installed. */
export const script = fileURLToPath(new URL("../../packages/cli/bin/holdfast.js", import.meta.url))

/** How a `holdfast` process ended and all it wrote. */
export interface Ended {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A running `holdfast` process. */
export interface Holdfast {
  readonly pid: number
  /** What it has written to stdout by now. */
  readonly stdout: () => string
  /** What it has written to stderr by now. */
  readonly stderr: () => string
  readonly signal: (signal: NodeJS.Signals) => void
  readonly ended: Effect.Effect<Ended>
}

/** How a `holdfast` process is started. */
export interface StartOptions {
  /** What it reads on stdin; nothing by default. */
  readonly input?: string
  /** Added to an environment that holds little more than `PATH`. */
  readonly env?: Readonly<Record<string, string>>
  /** Makes another command line of that of `holdfast`, which is started in its place. */
  readonly wrap?: (command: ReadonlyArray<string>) => ReadonlyArray<string>
}

/** A directory of its own, in which `holdfast` runs. */
export interface Place {
  readonly directory: string
  readonly file: (name: string) => string
  readonly write: (name: string, content: string | Uint8Array) => void
  /** What a file holds; nothing while it does not exist. */
  readonly read: (name: string) => string
  /** The lines of a file. */
  readonly lines: (name: string) => ReadonlyArray<string>
  readonly start: (args: ReadonlyArray<string>, options?: StartOptions) => Holdfast
  readonly run: (args: ReadonlyArray<string>, options?: StartOptions) => Effect.Effect<Ended>
  /** Every process that was started here, directly or not, and still runs. */
  readonly processes: () => ReadonlyArray<number>
}

/** Makes a place; what still runs there is killed, and the directory removed, when the scope closes. */
export const place: Effect.Effect<Place, never, Scope.Scope> = Effect.gen(function*() {
  const directory = yield* temporaryDirectory
  const marker = Crypto.randomUUID()
  const processes = () => markedPids(marker)
  yield* Effect.addFinalizer(() => killAll(processes))
  const file = (name: string) => Path.join(directory, name)
  const start: Place["start"] = (args, options = {}) => spawn(directory, marker, args, options)
  return {
    directory,
    file,
    write: (name, content) => FileSystem.writeFileSync(file(name), content),
    read: (name) => readIfPresent(file(name)),
    lines: (name) => linesOf(readIfPresent(file(name))),
    start,
    run: (args, options) => Effect.suspend(() => start(args, options).ended),
    processes
  }
})

/** The lines of a text, each ended by a line feed. */
export const linesOf = (text: string): ReadonlyArray<string> => text.split("\n").slice(0, -1)

/** The results in an `--out` file, by task. */
export const results = (at: Place, name = "out.jsonl"): ReadonlyArray<ResultLine> =>
  at.lines(name).map((line): ResultLine => JSON.parse(line)).sort((a, b) => a.index - b.index)

/** Rows of the database of a place, read beside whoever uses it. */
export const rows = <Row>(at: Place, sql: string): ReadonlyArray<Row> => {
  const database = new Database(at.file("holdfast.db"), { readonly: true, timeout: 5_000 })
  try {
    return database.prepare(sql).all() as ReadonlyArray<Row>
  } finally {
    database.close()
  }
}

/** The numbers from 1, one a line. */
export const numbers = (count: number): string =>
  Array.from({ length: count }, (_, index) => `${index + 1}\n`).join("")

/** The numbers from 1. */
export const upTo = (count: number): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, index) => index + 1)

/** Changes the database of a place behind everybody's back. */
export const alter = (at: Place, sql: string): void => {
  const database = new Database(at.file("holdfast.db"), { timeout: 5_000 })
  database.exec(sql)
  database.close()
}

const spawn = (
  directory: string,
  marker: string,
  args: ReadonlyArray<string>,
  { env = {}, input, wrap = (command) => command }: StartOptions
): Holdfast => {
  const [command = "", ...rest] = wrap([Process.execPath, script, ...args])
  const child = ChildProcess.spawn(command, rest, {
    cwd: directory,
    env: { PATH: Process.env["PATH"], HOLDFAST_TEST: marker, ...env },
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"]
  })
  child.stdin?.end(input)
  const written = { stdout: "", stderr: "" }
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.setEncoding("utf8").on("data", (chunk: string) => {
      written[stream] += chunk
    })
  }
  const ended = Effect.runSync(Deferred.make<Ended>())
  child.once("close", (exitCode, signal) => {
    Deferred.unsafeDone(ended, Effect.succeed({ exitCode, signal, ...written }))
  })
  return {
    pid: child.pid ?? 0,
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    signal: (signal) => void child.kill(signal),
    ended: Deferred.await(ended)
  }
}

const killAll = (processes: () => ReadonlyArray<number>): Effect.Effect<void> =>
  eventually(() => {
    const pids = processes()
    pids.forEach(kill)
    return pids.length === 0
  })

const kill = (pid: number) => {
  try {
    Process.kill(pid, "SIGKILL")
  } catch {
    // It has ended meanwhile.
  }
}
