import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { eventually } from "../support/command-processes.ts"
import { numbers, place, results, upTo } from "../support/holdfast.ts"

describe("--concurrency", () => {
  it.scopedLive("is reached and never passed", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(9))
      const script =
        "echo + >> log; until [ $(grep -c + log) -ge 3 ]; do sleep 0.05; done; sleep 0.05; echo - >> log"
      expect((yield* at.run(["batch", "in.txt", "-c", "3", "--", "sh", "-c", script])).exitCode).toBe(0)
      let running = 0
      const most = Math.max(...at.lines("log").map((line) => running += line === "+" ? 1 : -1))
      expect(most).toBe(3)
    }))
})

describe("--rate", () => {
  it.scopedLive("spaces the starts of commands, of which two may come at once", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(8))
      const batch = yield* at.run([
        "batch",
        "in.txt",
        "-c",
        "8",
        "--rate",
        "5/s",
        "--out",
        "out.jsonl",
        "--",
        "true"
      ])
      expect(batch.exitCode).toBe(0)
      const starts = results(at).map((result) => Date.parse(result.startedAt ?? "")).sort((a, b) => a - b)
      // Six are to wait for 200 ms each, which a first one that starts late makes less of.
      expect((starts[7] ?? 0) - (starts[0] ?? 0)).toBeGreaterThan(700)
    }))
})

describe("--priority", () => {
  it.scopedLive("runs smaller numbers first, and those of one number in the order of the input", () =>
    Effect.gen(function*() {
      const at = yield* place
      const priorities = [3, -1, 2, 3, 2, -1, 0]
      at.write("in.jsonl", priorities.map((p, index) => `{"p":${p},"n":${index + 1}}\n`).join(""))
      yield* at.run(["batch", "in.jsonl", "--priority", "p", "-c", "1", "--", "sh", "-c", "echo {n} >> ran"])
      expect(at.lines("ran")).toEqual(["2", "6", "7", "3", "5", "1", "4"])
    }))
})

describe("--fail-fast", () => {
  it.scopedLive("skips what is left when a task has failed for good, and lets running commands end", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(20))
      const script = "echo {} >> ran; [ {} = 1 ] && exit 7; until [ -e released ]; do sleep 0.05; done"
      const args = [
        "batch",
        "in.txt",
        "-c",
        "3",
        "--retries",
        "0",
        "--fail-fast",
        "--json",
        "--out",
        "out.jsonl"
      ]
      const command = ["--failed", "failed", "--", "sh", "-c", script]
      const batch = at.start([...args, ...command])
      yield* eventually(() => results(at).length === 1 && at.lines("ran").length >= 3)
      at.write("released", "")
      const ended = yield* batch.ended
      expect(ended.exitCode).toBe(1)
      const ran = at.lines("ran").length
      expect(JSON.parse(ended.stdout)).toMatchObject({
        ok: ran - 1,
        failed: 1,
        skipped: 20 - ran,
        left: 0,
        ran: 20
      })
      expect(ended.stderr).toContain(`${ran - 1} ok, 1 failed, ${20 - ran} skipped, of 20`)
      expect(results(at).map((result) => result.index)).toEqual(upTo(20))
      expect(results(at).find((result) => result.index === 20)).toMatchObject({
        status: "skipped",
        exitCode: null,
        attempts: 0,
        startedAt: null,
        stdout: ""
      })
      expect(at.read("failed")).toBe("1\n")
      const again = yield* at.run([...args, ...command])
      expect(again.exitCode).toBe(1)
      expect(again.stderr).toContain("was already done")
    }))

  it.scopedLive("waits for the retries of a task before it gives up", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(2))
      const script = "echo {} >> ran; [ {} != 1 ] || [ $(grep -c 1 ran) = 2 ]"
      const args = ["batch", "in.txt", "-c", "1", "--retries", "1", "--fail-fast", "--", "sh", "-c", script]
      expect(yield* at.run(args)).toMatchObject({ exitCode: 0 })
      expect(at.lines("ran")).toEqual(["1", "2", "1"])
    }))
})

describe("--breaker", () => {
  it.scopedLive("pauses while the command mostly fails, probes, and goes on when it is well again", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(40))
      const args = ["batch", "in.txt", "-c", "2", "--retries", "50", "--breaker", "50%", "--out", "out.jsonl"]
      const batch = at.start([...args, "--", "sh", "-c", "echo {} >> ran; [ -e well ]"])
      yield* eventually(() => batch.stderr().includes("breaker open"))
      at.write("well", "")
      expect(yield* batch.ended).toMatchObject({ exitCode: 0 })
      expect(results(at)).toHaveLength(40)
      // It opens at the tenth outcome; one more may have been on its way then, and probes may have failed.
      const failed = at.lines("ran").length - 40
      expect(failed).toBeGreaterThanOrEqual(10)
      expect(failed).toBeLessThanOrEqual(14)
    }))
})
