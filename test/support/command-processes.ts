import { ProcessMarker, SystemCommand } from "@holdfast/core/node"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import * as FileSystem from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

/** A directory that is gone when the scope closes. */
export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => FileSystem.mkdtempSync(Path.join(Os.tmpdir(), "holdfast-command-"))),
  (directory) => Effect.sync(() => FileSystem.rmSync(directory, { recursive: true, force: true }))
)

/** A marker nobody else uses, and the environment that carries it; what it marks is gone when the scope closes. */
export const freshMarker = Effect.gen(function*() {
  const marker = yield* Effect.acquireRelease(
    Effect.sync(() => Crypto.randomUUID()),
    (name) => ProcessMarker.killMarked(name)
  )
  return { marker, env: ProcessMarker.mark(yield* SystemCommand.inheritedEnvironment, marker) }
})

/** The processes whose environment mentions a marker, read independently of the code under test. */
export const markedPids = (marker: string): ReadonlyArray<number> => {
  const { stdout } = ChildProcess.spawnSync("/bin/sh", [
    "-c",
    `grep -alF "${marker}" /proc/[0-9]*/environ 2>/dev/null || true`
  ], { encoding: "utf8" })
  return stdout.split("\n").flatMap((path) => /\d+/.exec(path)?.map(Number) ?? [])
}

/** What a file holds, or nothing while it does not exist. */
export const readIfPresent = (path: string): string => {
  try {
    return FileSystem.readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

/** Whether a process runs: it exists and is no zombie. */
export const isRunning = (pid: number): boolean => /\) [^ZX] /.test(readIfPresent(`/proc/${pid}/stat`))

/** Waits, in real time, until something another process does has happened. */
export const eventually = (condition: () => boolean): Effect.Effect<void> =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced("5 millis") }),
    Effect.asVoid,
    Effect.withClock(Clock.make())
  )
