import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { eventually } from "../support/command-processes.ts"
import { numbers, place, results, rows, upTo } from "../support/holdfast.ts"

const named = (
  ...more: ReadonlyArray<string>
) => ["batch", "in.txt", "--name", "b", "--out", "out.jsonl", ...more]

const command = ["--", "sh", "-c", "echo {} >> ran"]

/** A batch of three tasks that is done. */
const done = Effect.gen(function*() {
  const at = yield* place
  at.write("in.txt", numbers(3))
  expect((yield* at.run(named("-c", "1", ...command))).exitCode).toBe(0)
  return at
})

describe("a batch under the name of another one is refused with exit code 4, and changes nothing", () => {
  it.scopedLive("with another input", () =>
    Effect.gen(function*() {
      const at = yield* done
      at.write("in.txt", numbers(4))
      const ended = yield* at.run(named(...command))
      expect(ended).toMatchObject({ exitCode: 4, stdout: "" })
      expect(ended.stderr).toBe(
        "holdfast: batch b exists with another input: use another --name, or --restart to begin it anew\n"
      )
      expect(at.lines("ran")).toEqual(["1", "2", "3"])
      expect(results(at)).toHaveLength(3)
    }))

  it.scopedLive("with another command, were it only by --shell", () =>
    Effect.gen(function*() {
      const at = yield* done
      const ended = yield* Effect.forEach([named("--", "true"), named("--shell", ...command)], (args) =>
        at.run(args))
      expect(ended.map(({ exitCode }) =>
        exitCode
      )).toEqual([4, 4])
      expect(ended.map(({ stderr }) => stderr)).toEqual(
        Array(2).fill(expect.stringContaining("another command:"))
      )
    }))

  it.scopedLive("with another input and another command", () =>
    Effect.gen(function*() {
      const at = yield* done
      at.write("in.txt", numbers(4))
      expect((yield* at.run(named("--", "true"))).stderr).toContain("another input and command:")
    }))
})

describe("a batch without a name", () => {
  it.scopedLive("is another one for another command or file, and the same for another way to write its path", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(1))
      at.write("copy.txt", numbers(1))
      const nameOf = (file: string, ...args: ReadonlyArray<string>) =>
        Effect.map(at.run(["batch", file, "--", ...args]), ({ stderr }) => stderr.split(":")[0])
      const names = yield* Effect.all([
        nameOf("in.txt", "true"),
        nameOf("./in.txt", "true"),
        nameOf("in.txt", "true", "x"),
        nameOf("copy.txt", "true")
      ])
      expect(names[0]).toMatch(/^in\.txt-[0-9a-f]{8}$/)
      expect(names[1]).toBe(names[0])
      expect(new Set(names).size).toBe(3)
    }))
})

describe("--restart", () => {
  it.scopedLive("begins anew, with another input and command, and with an --out file of its own tasks alone", () =>
    Effect.gen(function*() {
      const at = yield* done
      at.write("in.txt", "x\ny\n")
      const ended = yield* at.run(named("--restart", "-c", "1", "--", "sh", "-c", "echo new {} >> ran"))
      expect(ended).toMatchObject({ exitCode: 0 })
      expect(ended.stderr).toMatch(/2 ok, 0 failed, of 2\n/)
      expect(at.lines("ran").slice(3)).toEqual(["new x", "new y"])
      expect(results(at).map((result) => result.task)).toEqual(["x", "y"])
    }))

  it.scopedLive("of a batch that is not there just begins it", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(2))
      expect((yield* at.run(named("--restart", ...command))).exitCode).toBe(0)
      expect(results(at)).toHaveLength(2)
    }))

  it.scopedLive("is refused while another process runs the batch, which goes on", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(6))
      const hold = ["--", "sh", "-c", "echo {} >> ran; until [ -e released ]; do sleep 0.05; done"]
      const batch = at.start(named("-c", "2", ...hold))
      yield* eventually(() => at.lines("ran").length === 2)
      const refused = yield* at.run(named("--restart", ...hold))
      expect(refused).toMatchObject({ exitCode: 4 })
      expect(refused.stderr).toBe(
        "holdfast: batch b is being run by another process: stop it before --restart\n"
      )
      at.write("released", "")
      expect(yield* batch.ended).toMatchObject({ exitCode: 0 })
      expect(results(at).map(({ attempts, index }) => [index, attempts])).toEqual(
        upTo(6).map((index) => [index, 1])
      )
      expect([...at.lines("ran")].sort()).toEqual(upTo(6).map(String))
    }))

  it.scopedLive("while another process only waits for retries begins anew, and that process runs nothing of it", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(3))
      const waiting = at.start(named("-c", "3", "--", "sh", "-c", "echo {} >> failed; false"))
      yield* eventually(() => at.lines("failed").length === 9)
      // The third retries come some seconds later.
      yield* eventually(() =>
        rows(at, "SELECT 1 FROM tasks WHERE status = 'ready' AND attempt = 3").length === 3
      )
      waiting.signal("SIGSTOP")
      const hold = "echo {} >> ran; until [ -e released ]; do sleep 0.05; done"
      const anew = named("-c", "1", "--restart", "--", "sh", "-c", hold)
      const restarted = at.start(anew.with(anew.indexOf("out.jsonl"), "new.jsonl"))
      yield* eventually(() => at.lines("ran").length === 1)
      waiting.signal("SIGCONT")
      const old = yield* waiting.ended
      // One that was stopped inside a transaction was killed to free the file.
      expect([4, "SIGKILL"]).toContain(old.exitCode ?? old.signal)
      if (old.exitCode === 4) {
        expect(old.stderr).toContain("batch b was begun anew by another process (--restart)\n")
      }
      at.write("released", "")
      expect(yield* restarted.ended).toMatchObject({ exitCode: 0 })
      expect(results(at, "new.jsonl").map(({ attempts, status }) => [status, attempts])).toEqual(
        Array.from({ length: 3 }, () => ["ok", 1])
      )
      expect(at.lines("failed")).toHaveLength(9)
      expect([...at.lines("ran")].sort()).toEqual(["1", "2", "3"])
    }))

  it.scopedLive("after a kill begins anew as well, with the tasks that ran then", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(4))
      const hold = ["--", "sh", "-c", "echo {} >> ran; [ -e released ] || sleep 1000"]
      const batch = at.start(named("-c", "2", ...hold))
      yield* eventually(() => at.lines("ran").length === 2)
      batch.signal("SIGKILL")
      yield* batch.ended
      at.write("released", "")
      expect((yield* at.run(named("--restart", ...hold))).exitCode).toBe(0)
      expect(results(at).map(({ attempts }) => attempts)).toEqual([1, 1, 1, 1])
    }))
})
