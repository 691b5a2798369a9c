import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import * as Process from "node:process"
import { eventually } from "../support/command-processes.ts"
import type { Ended, StartOptions } from "../support/holdfast.ts"
import { alter, numbers, place, results, rows, upTo } from "../support/holdfast.ts"

/** Storage is out: one line says which file, and why; nothing of it is a stack trace. */
const outage = (ended: Ended, message: RegExp) => {
  expect(ended).toMatchObject({ exitCode: 3, stdout: "" })
  expect(ended.stderr).toMatch(message)
  expect(ended.stderr).not.toMatch(/^\s+at |level=/m)
}

/** No file may become larger than this. */
const limited = (kibibytes: number): StartOptions => ({
  wrap: (command) => ["bash", "-c", `ulimit -f ${kibibytes}; exec "$@"`, "bash", ...command]
})

/** Root may write everywhere: another user may not. */
const unprivileged: StartOptions = Process.getuid?.() === 0
  ? { wrap: (command) => ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...command] }
  : {}

describe("a disk that is full", () => {
  it.scopedLive("while tasks run ends the batch with exit code 3; with space again nothing is missing", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(60))
      const script = "echo {} >> ran; head -c 20000 /dev/zero | tr '\\0' x"
      const args = ["batch", "in.txt", "-c", "2", "--out", "out.jsonl", "--", "sh", "-c", script]
      outage(
        yield* at.run(args, limited(500)),
        /\(Full\).*EFBIG.*; run the same command again to continue\n$/
      )
      const acknowledged = results(at)
      expect(acknowledged.length).toBeGreaterThan(0)
      expect(acknowledged.length).toBeLessThan(60)

      expect((yield* at.run(args)).exitCode).toBe(0)
      expect(results(at).map(({ index, status }) => [index, status])).toEqual(
        upTo(60).map((index) => [index, "ok"])
      )
      expect(results(at)).toEqual(expect.arrayContaining([...acknowledged]))
      // What had no place for its outcome ran again: no more than was in hand at once.
      expect(at.lines("ran").length).toBeLessThanOrEqual(62)
      expect((yield* at.run(["db", "check"])).exitCode).toBe(0)

      // The file alone: the store has all outcomes, and little to write.
      FileSystem.rmSync(at.file("out.jsonl"))
      outage(yield* at.run(args, limited(500)), /^holdfast: out\.jsonl: EFBIG/m)
      expect((yield* at.run(args)).exitCode).toBe(0)
      expect(results(at).map((result) => result.index)).toEqual(upTo(60))
    }))

  it.scopedLive("while tasks are enqueued ends it with exit code 3; none is run before all are there", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", `${"x".repeat(1_000)}\n`.repeat(1_400))
      const args = ["batch", "in.txt", "--name", "b", "--fail-fast", "--retries", "0", "--json"]
      const command = ["--", "sh", "-c", "echo >> ran; exit 1"]
      outage(yield* at.run([...args, ...command], limited(1_600)), /\(Full\)/)
      expect(at.read("ran")).toBe("")
      expect(rows(at, "SELECT 1 FROM tasks").length).toBeLessThan(1_400)
      const { exitCode, stdout } = yield* at.run([...args, ...command])
      expect(exitCode).toBe(1)
      const { failed, skipped, total } = JSON.parse(stdout)
      expect([total, failed + skipped, failed]).toEqual([1_400, 1_400, at.lines("ran").length])
    }))
})

describe("a database that cannot be written", () => {
  it.scopedLive("ends everything that would write it with exit code 3, and is left as it is", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(3))
      const args = ["batch", "in.txt", "--name", "b", "--retries", "0", "--", "false"]
      yield* at.run(args)
      FileSystem.chmodSync(at.directory, 0o555)
      FileSystem.chmodSync(at.file("holdfast.db"), 0o444)
      const before = FileSystem.readFileSync(at.file("holdfast.db"))
      const retry = ["tasks", "retry", "--queue", "b", "1"]
      for (const command of [args, retry, ["db", "migrate"], ["db", "adopt"]]) {
        outage(
          yield* at.run(command, unprivileged),
          /^holdfast: \.\/holdfast\.db: storage failed \(ReadOnly\)/
        )
      }
      expect(FileSystem.readFileSync(at.file("holdfast.db")).equals(before)).toBe(true)
      FileSystem.chmodSync(at.directory, 0o755)
      FileSystem.chmodSync(at.file("holdfast.db"), 0o600)
      expect((yield* at.run(args)).stderr).toContain("was already done")
    }))
})

describe("a database that", () => {
  it.scopedLive("is something else is refused with exit code 3, and left as it is", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(1))
      at.write("garbage.db", "precious ".repeat(1_000))
      alter(at, "CREATE TABLE precious (id INTEGER)")
      const batch = (db: string) => at.run(["batch", "in.txt", "--db", db, "--", "true"])
      const list = (db: string) => at.run(["tasks", "list", "--db", db])
      for (const use of [batch, list]) {
        outage(yield* use("garbage.db"), /^holdfast: garbage\.db: storage failed \(Corrupt\).*not a database/)
        outage(yield* use("holdfast.db"), /a SQLite database of another program: name another file with --db/)
      }
      expect(at.read("garbage.db")).toBe("precious ".repeat(1_000))
    }))

  it.scopedLive("is a directory, or lies in one that is not there, is refused with exit code 3", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(1))
      for (const db of [".", "no/where.db"]) {
        outage(yield* at.run(["batch", "in.txt", "--db", db, "--", "true"]), /^holdfast: .*: storage failed/)
      }
    }))

  it.scopedLive("is removed while a batch runs ends it with exit code 3 and kills its commands", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(3))
      const batch = at.start(["batch", "in.txt", "-c", "1", "--", "sh", "-c", "echo >> begun; sleep 1000"])
      yield* eventually(() => at.read("begun") !== "")
      FileSystem.rmSync(at.file("holdfast.db"))
      outage(yield* batch.ended, /holdfast\.db was removed while it was in use/)
      expect(at.processes()).toEqual([])
    }))
})
