import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { eventually } from "../support/command-processes.ts"
import type { Place } from "../support/holdfast.ts"
import { numbers, place, rows, upTo } from "../support/holdfast.ts"

/** The processor time a command takes, in milliseconds: the least of some runs, since others run beside it. */
const processorMillis = (at: Place, args: ReadonlyArray<string>) =>
  Effect.map(
    Effect.forEach(upTo(3), () =>
      at.run(args, {
        wrap: (command) => ["bash", "-c", `TIMEFORMAT='%U %S'; time "$@"`, "bash", ...command]
      })),
    (runs) =>
      Math.min(...runs.map(({ exitCode, stderr }) => {
        expect(exitCode).toBe(0)
        const [user = Number.NaN, system = Number.NaN] = stderr.trim().split(" ").map(Number)
        return (user + system) * 1_000
      }))
  )

describe("the command starts fast", () => {
  it.scopedLive("with --version, which is meant to take 150 ms of processor time", () =>
    Effect.gen(function*() {
      const at = yield* place
      expect((yield* at.run(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
      expect(yield* processorMillis(at, ["--version"])).toBeLessThan(300)
    }))

  it.scopedLive("with tasks list, which is meant to take 400 ms of processor time", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(20))
      yield* at.run(["batch", "in.txt", "--", "true"])
      expect(yield* processorMillis(at, ["tasks", "list"])).toBeLessThan(800)
    }))
})

describe("a batch that was killed with SIGKILL", () => {
  it.scopedLive("claims a task again within 300 ms of opening the store: it waits for no lease", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(20))
      const args = [
        "batch",
        "in.txt",
        "-c",
        "2",
        "--retries",
        "20",
        "--",
        "sh",
        "-c",
        "echo >> begun; sleep 1000"
      ]
      const millis: Array<number> = []
      for (let restart = 0; restart < 6; restart++) {
        const batch = at.start(args)
        yield* eventually(() => at.lines("begun").length >= 2 * (restart + 1))
        batch.signal("SIGKILL")
        yield* batch.ended
        const [opened] = rows<{ readonly millis: number }>(
          at,
          `SELECT MIN(tasks.started_at) - nodes.started_at AS millis FROM nodes JOIN tasks ON tasks.node = nodes.id ` +
            `WHERE nodes.pid = ${batch.pid}`
        )
        millis.push(opened?.millis ?? Number.NaN)
      }
      // The first run had nothing to take over; of the others one is alone on the machine for long enough.
      const [, ...restarts] = millis
      expect(Math.min(...restarts)).toBeLessThan(300)
    }))
})
