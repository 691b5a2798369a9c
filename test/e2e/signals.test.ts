import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { eventually } from "../support/command-processes.ts"
import type { Holdfast, Place } from "../support/holdfast.ts"
import { numbers, place, results, upTo } from "../support/holdfast.ts"

/** Starts a batch of eight tasks, two at once, each a shell script, and waits until two have begun. */
const begin = (at: Place, script: string, ...options: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    at.write("in.txt", numbers(8))
    const args = ["batch", "in.txt", "-c", "2", "--name", "b", "--out", "out.jsonl", ...options]
    const command = ["--", "sh", "-c", `echo {} >> begun; ${script}`]
    const batch = at.start([...args, ...command])
    yield* eventually(() => at.lines("begun").length >= 2)
    return { batch, args: [...args, ...command] }
  })

/** Sends a signal and waits until it has been taken for the first one. */
const interrupt = (batch: Holdfast, signal: NodeJS.Signals) =>
  Effect.zipRight(
    Effect.sync(() => batch.signal(signal)),
    eventually(() => batch.stderr().includes("stopping"))
  )

const untilReleased = "until [ -e released ]; do sleep 0.05; done"

describe.each(["SIGINT", "SIGTERM"] as const)("%s", (signal) => {
  it.scopedLive("starts nothing more, lets running commands end, and the same command continues", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { args, batch } = yield* begin(at, untilReleased, "--json")
      yield* interrupt(batch, signal)
      at.write("released", "")
      const ended = yield* batch.ended
      expect(ended).toMatchObject({ exitCode: 130, signal: null })
      expect(ended.stderr).toBe(
        "stopping: running commands get 10s to end; a second signal kills them at once\n" +
          "b: interrupted, state saved: 2 ok, 0 failed, of 8; run the same command to continue\n"
      )
      expect(JSON.parse(ended.stdout)).toMatchObject({ ok: 2, left: 6, ran: 2, exitCode: 130 })
      expect(at.lines("begun")).toHaveLength(2)
      expect(results(at)).toHaveLength(2)

      const again = yield* at.run(args)
      expect(again).toMatchObject({ exitCode: 0 })
      expect(again.stderr).toMatch(/8 ok, 0 failed, of 8 \(continued behind 2\)/)
      expect(results(at).map(({ attempts, index }) => [index, attempts])).toEqual(
        upTo(8).map((index) => [index, 1])
      )
      expect([...at.lines("begun")].sort()).toEqual(upTo(8).map(String))
    }))

  it.scopedLive("given twice kills what ignores it at once, and counts no attempt", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { args, batch } = yield* begin(at, `trap '' INT TERM; ${untilReleased}`, "--retries", "0")
      const since = performance.now()
      yield* interrupt(batch, signal)
      batch.signal(signal)
      expect(yield* batch.ended).toMatchObject({ exitCode: 130 })
      // The grace periods that it cuts short are of 10 and 5 seconds.
      expect(performance.now() - since).toBeLessThan(5_000)
      expect(at.processes()).toEqual([])
      const { stdout } = yield* at.run(["tasks", "list", "--queue", "b", "--json"])
      const tasks = stdout.trimEnd().split("\n").map((line) => JSON.parse(line))
      expect(tasks.map(({ attempt, status }) => [status, attempt])).toEqual(upTo(8).map(() => ["ready", 0]))

      at.write("released", "")
      expect(yield* at.run(args)).toMatchObject({ exitCode: 0 })
      expect(results(at).map((result) => result.attempts)).toEqual(upTo(8).map(() => 1))
    }))
})

describe("an interrupted batch", () => {
  it.scopedLive("does not wait for tasks that wait to be tried again, nor for its rate", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { batch } = yield* begin(at, "false", "--rate", "2/h")
      batch.signal("SIGINT")
      expect(yield* batch.ended).toMatchObject({ exitCode: 130 })
      expect(at.lines("begun")).toHaveLength(2)
    }))

  it.scopedLive("says that the same command without --restart continues, where it was restarted", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { batch } = yield* begin(at, untilReleased, "--restart")
      yield* interrupt(batch, "SIGINT")
      at.write("released", "")
      expect((yield* batch.ended).stderr).toContain("run the same command without --restart to continue")
    }))

  it.scopedLive("by --fail-fast as well has not skipped anything", () =>
    Effect.gen(function*() {
      const at = yield* place
      const script = `[ {} = 1 ] && exit 1; ${untilReleased}`
      const { args, batch } = yield* begin(at, script, "--fail-fast", "--retries", "0")
      yield* eventually(() => results(at).length === 1)
      yield* interrupt(batch, "SIGINT")
      batch.signal("SIGINT")
      const ended = yield* batch.ended
      expect(ended).toMatchObject({ exitCode: 130 })
      expect(ended.stderr).toContain("0 ok, 1 failed, of 8")
      at.write("released", "")
      expect((yield* at.run(args)).stderr).toContain("7 ok, 1 failed, of 8")
    }))
})
