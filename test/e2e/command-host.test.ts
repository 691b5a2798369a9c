import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import * as Process from "node:process"
import { eventually, isRunning, readIfPresent } from "../support/command-processes.ts"
import type { Place } from "../support/holdfast.ts"
import { numbers, place, results, upTo } from "../support/holdfast.ts"

/** The command hosts among the processes of a place. */
const hosts = (at: Place): ReadonlyArray<number> =>
  at.processes().filter((pid) => readIfPresent(`/proc/${pid}/cmdline`).includes("command-host.js"))

/** Starts a batch of so many tasks at once and waits until all have said their process ids. */
const begin = (at: Place, count: number, script: string, ...options: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    at.write("in.txt", numbers(count))
    const args = ["batch", "in.txt", "-c", String(count), "--name", "b", "--out", "out.jsonl", ...options]
    const batch = at.start([...args, "--", "sh", "-c", `echo $$ >> begun; ${script}`])
    yield* eventually(() => at.lines("begun").length >= count)
    return { batch, commands: at.lines("begun").map(Number) }
  })

describe("the command host", () => {
  it.scopedLive("is two small processes with half of the commands each, which are gone with the batch", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { batch, commands } = yield* begin(at, 4, "until [ -e released ]; do sleep 0.05; done")
      const found = hosts(at)
      expect(found.map((host) => commands.filter((pid) => parentOf(pid) === host).length)).toEqual([2, 2])
      for (const host of found) {
        const [, kiB] = /VmRSS:\s+(\d+)/.exec(FileSystem.readFileSync(`/proc/${host}/status`, "utf8")) ?? []
        expect(Number(kiB)).toBeLessThan(80 * 1024)
      }
      at.write("released", "")
      expect(yield* batch.ended).toMatchObject({ exitCode: 0 })
      expect(at.processes()).toEqual([])
    }))

  it.scopedLive("is one process where one command runs at once", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { batch } = yield* begin(at, 1, "until [ -e released ]; do sleep 0.05; done")
      expect(hosts(at)).toHaveLength(1)
      at.write("released", "")
      expect(yield* batch.ended).toMatchObject({ exitCode: 0 })
    }))

  it.scopedLive("that is killed ends what it ran, whose attempts fail, and another one runs them again", () =>
    Effect.gen(function*() {
      const at = yield* place
      const script = "[ -e lost ] && echo again && exit 0; setsid sleep 1000 & trap '' TERM; sleep 1000"
      const { batch, commands } = yield* begin(at, 2, script, "--retries", "1")
      const left = at.processes()
      at.write("lost", "")
      hosts(at).forEach((host) => Process.kill(host, "SIGKILL"))
      const ended = yield* batch.ended
      expect(ended).toMatchObject({ exitCode: 0 })
      expect(ended.stderr).not.toMatch(/^\s+at |level=/m)
      expect(results(at)).toMatchObject(
        upTo(2).map(() => ({ status: "ok", attempts: 2, stdout: "again\n" }))
      )
      expect(commands.filter(isRunning)).toEqual([])
      expect(left.filter(isRunning)).toEqual([])
      expect(at.processes()).toEqual([])
    }))

  it.scopedLive("that is killed leaves what the other one runs alone", () =>
    Effect.gen(function*() {
      const at = yield* place
      const script = "until [ -e released ]; do sleep 0.05; done"
      const { batch, commands } = yield* begin(at, 2, script, "--retries", "0")
      const [host = 0] = hosts(at)
      const lost = commands.filter((pid) => parentOf(pid) === host)
      Process.kill(host, "SIGKILL")
      yield* eventually(() => !lost.some(isRunning))
      expect(commands.filter(isRunning)).toHaveLength(1)
      at.write("released", "")
      expect(yield* batch.ended).toMatchObject({ exitCode: 1 })
      expect(results(at).map(({ status }) => status).sort()).toEqual(["failed", "ok"])
    }))

  it.scopedLive("that is killed during a last attempt fails it with the reason", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { batch } = yield* begin(at, 2, "sleep 1000", "--retries", "0")
      hosts(at).forEach((host) => Process.kill(host, "SIGKILL"))
      expect(yield* batch.ended).toMatchObject({ exitCode: 1 })
      const reason = expect.stringContaining("ended with SIGKILL before the command had")
      expect(results(at)).toMatchObject(
        upTo(2).map(() => ({ status: "failed", attempts: 1, exitCode: null, stderr: reason }))
      )
      expect(at.processes()).toEqual([])
    }))

  it.scopedLive("ends with what it runs within a second of a batch that was killed with SIGKILL", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { batch, commands } = yield* begin(at, 2, "sleep 1000 & sleep 1000")
      expect(commands.every(isRunning)).toBe(true)
      const since = performance.now()
      batch.signal("SIGKILL")
      yield* eventually(() => at.processes().length === 0)
      expect(performance.now() - since).toBeLessThan(1_000)
    }))

  it.scopedLive("does not get the SIGINT of a terminal, nor do its commands", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(2))
      const script = "echo >> begun; until [ -e released ]; do sleep 0.05; done"
      const batch = at.start(["batch", "in.txt", "-c", "2", "--name", "b", "--", "sh", "-c", script], {
        wrap: (command) => ["setsid", "--wait", ...command]
      })
      yield* eventually(() => at.lines("begun").length >= 2)
      const group = at.processes().find((pid) =>
        readIfPresent(`/proc/${pid}/cmdline`).includes("\0batch\0") && sessionOf(pid) === pid
      )
      Process.kill(-(group ?? Number.NaN), "SIGINT")
      yield* eventually(() => batch.stderr().includes("stopping"))
      at.write("released", "")
      const ended = yield* batch.ended
      expect(ended.stderr).toContain("2 ok, 0 failed, of 2")
      expect(ended.exitCode).toBe(130)
      expect(at.processes()).toEqual([])
    }))
})

const parentOf = (pid: number): number => Number(/\) \S+ (\d+)/.exec(readIfPresent(`/proc/${pid}/stat`))?.[1])

const sessionOf = (pid: number): number =>
  Number(/\) \S+ \d+ \d+ (\d+)/.exec(readIfPresent(`/proc/${pid}/stat`))?.[1])
