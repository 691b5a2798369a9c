import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { eventually } from "../support/command-processes.ts"
import type { Place } from "../support/holdfast.ts"
import { place, results } from "../support/holdfast.ts"

/** Runs a shell script as the only task of a batch, once, and sees that it leaves no process behind. */
const runScript = (at: Place, script: string, ...options: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    at.write("in.txt", "x\n")
    const batch = ["batch", "in.txt", "--retries", "0", "--out", "out.jsonl", ...options]
    const ended = yield* at.run([...batch, "--", "sh", "-c", script])
    expect(at.processes()).toEqual([])
    expect(ended.stderr).not.toMatch(/^\s+at |level=/m)
    const [result] = results(at)
    return { ended, result }
  })

/** A process in a session of its own, which says so in a file and would run for long. */
const inOwnSession = "setsid sh -c 'echo > session; exec sleep 1000'"

describe("a command that", () => {
  it.scopedLive("ignores SIGTERM is killed after its timeout and a grace period", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { ended, result } = yield* runScript(
        at,
        "trap 'echo ignored' TERM; echo > begun; while :; do sleep 0.1; done",
        "--timeout",
        "300ms"
      )
      expect(ended).toMatchObject({ exitCode: 1 })
      expect(result).toMatchObject({ status: "failed", timedOut: true, exitCode: null, signal: "SIGKILL" })
      expect(result?.stdout).toContain("ignored")
    }))

  it.scopedLive("ends at SIGTERM has its exit code told, and has timed out all the same", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { result } = yield* runScript(
        at,
        "trap 'exit 0' TERM; echo begun; while :; do sleep 0.1; done",
        "--timeout",
        "1s"
      )
      expect(result).toMatchObject({ status: "failed", timedOut: true, exitCode: 0, stdout: "begun\n" })
    }))

  it.scopedLive("writes 100 MB to stdout has the last 64 KiB kept, and the rest dropped", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { ended, result } = yield* runScript(
        at,
        "head -c 100000000 /dev/zero | tr '\\0' y; echo; echo end"
      )
      expect(ended).toMatchObject({ exitCode: 0 })
      expect(result).toMatchObject({ status: "ok", truncated: true })
      expect(Buffer.byteLength(result?.stdout ?? "")).toBe(64 * 1024)
      expect(result?.stdout.endsWith("yyy\nend\n")).toBe(true)
    }))

  it.scopedLive("writes bytes that are no text has them replaced, and is stored whole", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { ended, result } = yield* runScript(
        at,
        "head -c 70000 /dev/zero; head -c 70000 /dev/zero | tr '\\0' '\\377' >&2"
      )
      expect(ended).toMatchObject({ exitCode: 0 })
      expect(result).toMatchObject({ status: "ok", truncated: true })
      expect(result?.stdout).toBe("\0".repeat(64 * 1024))
      expect(result?.stderr).toBe("\ufffd".repeat(64 * 1024))
    }))

  it.scopedLive("forks a child and hangs is killed with it after its timeout", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { ended, result } = yield* runScript(at, "sleep 1000 & sleep 1000", "--timeout", "300ms")
      expect(ended).toMatchObject({ exitCode: 1 })
      expect(result).toMatchObject({ status: "failed", timedOut: true, signal: "SIGTERM" })
    }))

  it.scopedLive("ends and leaves a child that holds its output is done, and the child is killed", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { ended, result } = yield* runScript(at, "sleep 1000 & echo $!")
      expect(ended).toMatchObject({ exitCode: 0 })
      expect(result).toMatchObject({ status: "ok", stdout: expect.stringMatching(/^\d+\n$/) })
    }))

  it.scopedLive("leaves a child in a session of its own is done, and the child is killed with the batch", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { ended, result } = yield* runScript(
        at,
        `${inOwnSession} & until [ -s session ]; do sleep 0.01; done`
      )
      expect(ended).toMatchObject({ exitCode: 0 })
      expect(result).toMatchObject({ status: "ok" })
      expect(at.read("session")).toBe("\n")
    }))

  it.scopedLive("waits for a child in a session of its own is timed out, and the child is killed with the batch", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { ended, result } = yield* runScript(
        at,
        `${inOwnSession} & until [ -s session ]; do sleep 0.01; done; sleep 1000`,
        "--timeout",
        "1s"
      )
      expect(ended).toMatchObject({ exitCode: 1 })
      expect(result).toMatchObject({ status: "failed", timedOut: true })
    }))

  it.scopedLive("was killed by a signal has it told", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { ended, result } = yield* runScript(at, "kill -SEGV $$")
      expect(ended).toMatchObject({ exitCode: 1 })
      expect(result).toMatchObject({ status: "failed", exitCode: null, signal: "SIGSEGV", timedOut: false })
    }))

  it.scopedLive("gets an argument that is too long fails with the reason, and the batch goes on", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", `${"x".repeat(200_000)}\nshort\n`)
      const ended = yield* at.run(["batch", "in.txt", "--retries", "0", "--out", "out.jsonl", "--", "echo"])
      expect(ended).toMatchObject({ exitCode: 1 })
      expect(results(at)).toMatchObject([
        {
          status: "failed",
          exitCode: null,
          signal: null,
          stderr: expect.stringMatching(/argument list too long.*E2BIG/)
        },
        { status: "ok", stdout: "short\n" }
      ])
    }))

  it.scopedLive("comes from the task and is not there fails with the reason", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", "echo\nno-such-program\n./in.txt\n")
      const ended = yield* at.run([
        "batch",
        "in.txt",
        "--retries",
        "0",
        "--out",
        "out.jsonl",
        "--",
        "{}",
        "x"
      ])
      expect(ended).toMatchObject({ exitCode: 1 })
      expect(results(at)).toMatchObject([
        { status: "ok", stdout: "x\n" },
        { status: "failed", exitCode: null, stderr: "Command not found: no-such-program" },
        { status: "failed", exitCode: null, stderr: expect.stringMatching(/permission denied.*EACCES/) }
      ])
    }))

  it.scopedLive("reads its input finds it empty", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", "x\n")
      const input = "meant for nobody"
      const ended = yield* at.run(["batch", "in.txt", "--out", "out.jsonl", "--", "sh", "-c", "wc -c"], {
        input
      })
      expect(ended).toMatchObject({ exitCode: 0 })
      expect(results(at)).toMatchObject([{ status: "ok", stdout: "0\n" }])
    }))
})

describe("a batch that was killed with SIGKILL", () => {
  it.scopedLive("leaves nothing running that its next run does not end before it runs the task again", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", "x\n")
      at.write(
        "task.sh",
        `runs() { read -r stat < /proc/$(cat $1)/stat && case $stat in *") Z "*) false;; esac; }
        if [ -s begun ]; then runs begun || runs session || echo gone; exit 0; fi
        setsid sh -c 'echo $$ > session; exec sleep 1000' &
        echo $$ > begun; sleep 1000`
      )
      const args = ["batch", "in.txt", "--out", "out.jsonl", "--", "sh", "task.sh"]
      const killed = at.start(args)
      yield* eventually(() => at.read("session") !== "" && at.read("begun") !== "")
      killed.signal("SIGKILL")
      yield* killed.ended
      // Its command host has ended the command itself; what is in a session of its own it does not find.
      expect(at.processes().length).toBeGreaterThanOrEqual(1)
      expect(yield* at.run(args)).toMatchObject({ exitCode: 0 })
      expect(results(at)).toMatchObject([{ status: "ok", attempts: 2, stdout: "gone\n" }])
      expect(at.processes()).toEqual([])
    }))
})
