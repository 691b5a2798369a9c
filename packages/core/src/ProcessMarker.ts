/**
 * A process marker is an environment entry that a command and all its descendants carry, so that they are found again
 * whatever became of their parents, sessions and process groups.
 */
import * as Effect from "effect/Effect"
import * as Process from "node:process"
import * as MarkerScan from "./internal/MarkerScan.ts"
import { pollUntil } from "./internal/pollUntil.ts"
import { sendSignal } from "./internal/ProcessGroup.ts"
import * as SystemCommand from "./SystemCommand.ts"

/** The environment variable that names the nodes a process runs for, outermost first, separated by commas. */
export const variable = MarkerScan.markerVariable

/**
 * Adds a marker, any well-formed text, to the environment of commands to be started. An empty one marks nothing.
 *
 * Markers it already has stay: what runs for a node that itself runs for another node is found by either.
 *
 * @example
 * import { ProcessMarker, SystemCommand } from "@holdfast/core/node"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const env = ProcessMarker.mark(yield* SystemCommand.inheritedEnvironment, "node-1")
 *   yield* SystemCommand.run({ command: "make", env })
 *   return yield* ProcessMarker.killMarked("node-1")
 * })
 */
export const mark = (environment: SystemCommand.Environment, marker: string): SystemCommand.Environment => {
  const markers = MarkerScan.markerNames(environment[variable] ?? "")
  const name = encodeURIComponent(marker)
  if (name === "" || markers.includes(name)) return environment
  return { ...environment, [variable]: [...markers, name].join(",") }
}

/**
 * Kills all processes with a marker, and their process groups, until none is left; answers how many had it.
 *
 * Looks in `/proc` on Linux and at `ps` on macOS, as far as this user may see; elsewhere it finds none. Spares this
 * process and its group. A process that was started with another environment, or overwrote its own, is not found.
 * Takes one look when there is none, and at the most 2 seconds of looks when one cannot be killed.
 */
export const killMarked = (marker: string): Effect.Effect<number> =>
  Effect.suspend(() => {
    if (marker === "") return Effect.succeed(0)
    const killed = new Set<number>()
    const noneLeft = Effect.map(scan(encodeURIComponent(marker)), (found) => {
      for (const { pid } of found.marked) killed.add(pid)
      killAll(found)
      return found.marked.length === 0
    })
    return Effect.map(pollUntil(noneLeft, killedMillisMax), () => killed.size)
  })

// internal

const killedMillisMax = 2_000

const listing: SystemCommand.CommandOptions = {
  command: "/bin/ps",
  args: ["-axEww", "-o", "pid=,pgid=,command="],
  maxOutputBytes: 16 * 1024 * 1024
}

const scan = (name: string): Effect.Effect<MarkerScan.MarkerScan> => {
  if (Process.platform === "linux") return Effect.sync(() => MarkerScan.scanProcessTable(name))
  if (Process.platform !== "darwin") return Effect.succeed(MarkerScan.emptyScan)
  return SystemCommand.run(listing).pipe(
    Effect.map(({ stdout }) => MarkerScan.scanListing(stdout, name, Process.pid)),
    Effect.orElseSucceed(() => MarkerScan.emptyScan)
  )
}

/** Groups first: a group of 0 or 1 would be everybody, or lie outside of what this process may see. */
const killAll = ({ marked, ownGroup }: MarkerScan.MarkerScan): void => {
  const groups = new Set(ownGroup === undefined ? [] : marked.map(({ group }) => group))
  for (const group of groups) {
    if (group > 1 && group !== ownGroup) sendSignal(-group, "SIGKILL")
  }
  for (const { pid } of marked) sendSignal(pid, "SIGKILL")
}
