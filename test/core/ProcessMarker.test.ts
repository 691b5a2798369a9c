import { describe, expect, it } from "@effect/vitest"
import { ProcessMarker, SystemCommand } from "@holdfast/core/node"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Process from "node:process"
import { fileURLToPath } from "node:url"
import { scanListing } from "../../packages/core/src/internal/MarkerScan.ts"
import { parseStat } from "../../packages/core/src/ProcessTable.ts"
import {
  eventually,
  freshMarker,
  isRunning,
  markedPids,
  temporaryDirectory
} from "../support/command-processes.ts"

/** Leaves a process behind that left the group, and answers its id. */
const escape = (script: string, env: SystemCommand.Environment) =>
  Effect.gen(function*() {
    const cwd = yield* temporaryDirectory
    const escaping =
      `setsid sh -c '${script}' > /dev/null 2>&1 & until [ -e ready ]; do sleep 0.01; done; echo $!`
    const { stdout } = yield* SystemCommand.shell({ script: escaping, cwd, env })
    return { pid: Number(stdout), cwd }
  })

describe("ProcessMarker", () => {
  it.scopedLive("kills a process that left the group of its command, and says how many", () =>
    Effect.gen(function*() {
      const { env, marker } = yield* freshMarker
      const { pid } = yield* escape("touch ready; exec sleep 1000", env)
      expect(markedPids(marker)).toEqual([pid])
      expect(yield* ProcessMarker.killMarked(marker)).toBe(1)
      expect(isRunning(pid)).toBe(false)
      expect(yield* ProcessMarker.killMarked(marker)).toBe(0)
    }))

  it.scopedLive("spares processes with another marker", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* freshMarker, yield* freshMarker]
      const { pid } = yield* escape("touch ready; exec sleep 1000", one.env)
      expect(yield* ProcessMarker.killMarked(other.marker)).toBe(0)
      expect(yield* ProcessMarker.killMarked(one.marker.slice(0, -1))).toBe(0)
      expect(yield* ProcessMarker.killMarked("")).toBe(0)
      expect(isRunning(pid)).toBe(true)
    }))

  it.scopedLive("kills members of a marked process's group that lost the marker", () =>
    Effect.gen(function*() {
      const { env, marker } = yield* freshMarker
      const { cwd, pid } = yield* escape(
        "env -i sleep 1000 & echo $! > lost; touch ready; sleep 1000; true",
        env
      )
      const lost = Number(FileSystem.readFileSync(Path.join(cwd, "lost"), "utf8"))
      yield* eventually(() => !markedPids(marker).includes(lost))
      yield* ProcessMarker.killMarked(marker)
      yield* eventually(() => !isRunning(lost))
      expect(isRunning(pid)).toBe(false)
    }))

  it.scopedLive("kills what runs for a node that itself runs for the marked node", () =>
    Effect.gen(function*() {
      const [outer, inner] = [yield* freshMarker, yield* freshMarker]
      const { pid } = yield* escape(
        "touch ready; exec sleep 1000",
        ProcessMarker.mark(outer.env, inner.marker)
      )
      expect(yield* ProcessMarker.killMarked(outer.marker)).toBe(1)
      expect(isRunning(pid)).toBe(false)
    }))

  it.scopedLive("leaves none of a family that still grows", () =>
    Effect.gen(function*() {
      const { env, marker } = yield* freshMarker
      const script = "i=0; while [ $i -lt 500 ]; do setsid sleep 1000 & i=$((i + 1)); done; wait"
      const family = yield* Effect.fork(SystemCommand.shell({ script, env }))
      yield* eventually(() => markedPids(marker).length > 5)
      expect(yield* ProcessMarker.killMarked(marker)).toBeGreaterThan(5)
      expect(markedPids(marker)).toEqual([])
      expect(yield* Fiber.join(family)).toMatchObject({ signal: "SIGKILL" })
    }))

  it.scopedLive("spares itself and its group, though it carries the marker, but not a marked companion", () =>
    Effect.gen(function*() {
      const { env, marker } = yield* freshMarker
      const fixture = fileURLToPath(new URL("../support/command-kill-marked.ts", import.meta.url))
      const args = ["--import", "tsx", "--conditions=@holdfast/source", fixture, marker]
      const result = yield* SystemCommand.run({ command: Process.execPath, args, env })
      expect(result.stderr).toBe("")
      expect(JSON.parse(result.stdout)).toMatchObject({ unmarked: true, marked: false })
    }))

  it.prop(
    "marking twice is marking once, and keeps all else",
    [FastCheck.string(), FastCheck.string()],
    ([one, two]) => {
      const env = ProcessMarker.mark(ProcessMarker.mark({ PATH: "/bin" }, one), two)
      expect(ProcessMarker.mark(env, one)).toEqual(env)
      expect(ProcessMarker.mark(env, two)).toEqual(env)
      expect(env["PATH"]).toBe("/bin")
      expect(env[ProcessMarker.variable] ?? "").not.toMatch(/[\s\0]/)
    }
  )

  it("reads a listing with environments as macOS prints it", () => {
    const listing = [
      "    1     1 /sbin/launchd",
      "  412   410 sleep 10 HOME=/Users/me HOLDFAST_NODE=outer,inner PATH=/bin",
      "  500   499 node app.js XHOLDFAST_NODE=inner",
      "  501   499 node app.js HOLDFAST_NODE=innermost",
      " 4711  4710 node cli.js HOLDFAST_NODE=inner",
      "a second line of a value HOLDFAST_NODE=inner"
    ].join("\n")
    expect(scanListing(listing, "inner", 4711)).toEqual({
      marked: [{ pid: 412, group: 410 }],
      ownGroup: 4710
    })
  })

  it("reads the state of a process with any name", () => {
    expect(parseStat(`12 (a) b (\n) S 1 34 ${"0 ".repeat(16)}987 0`)).toEqual({
      state: "S",
      group: 34,
      started: "987"
    })
    expect(parseStat("")).toBeUndefined()
  })
})
