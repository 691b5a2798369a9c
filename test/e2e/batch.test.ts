import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { numbers, place, results } from "../support/holdfast.ts"

/** Prints its arguments, each in brackets. */
const show = ["sh", "-c", `for a in "$@"; do printf '[%s]' "$a"; done`, "sh"]

const outputs = (at: Effect.Effect.Success<typeof place>) => results(at).map((result) => result.stdout)

describe("placeholders", () => {
  it.scopedLive("stand for the line, its number, its basename, and itself without extension", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", "a/b.tar.gz\nc d.png\n")
      const ended = yield* at.run([
        "batch",
        "in.txt",
        "--out",
        "out.jsonl",
        "--",
        ...show,
        "{}",
        "{#}:{/}",
        "{.}"
      ])
      expect(ended).toMatchObject({ exitCode: 0 })
      expect(outputs(at)).toEqual([
        "[a/b.tar.gz][1:b.tar.gz][a/b.tar]",
        "[c d.png][2:c d.png][c d]"
      ])
    }))

  it.scopedLive("stand for fields of an object, which need not be text, and {{name}} for {name} itself", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.jsonl", `{"id":7,"name":"x y","tags":["a"]}\n\n{"id":8,"name":"","tags":{}}\n`)
      const args = ["{id}", "{name}", "{tags}", "{{id}}", "{}"]
      yield* at.run(["batch", "in.jsonl", "--out", "out.jsonl", "--", ...show, ...args])
      expect(outputs(at)).toEqual([
        `[7][x y][["a"]][{id}][{"id":7,"name":"x y","tags":["a"]}]`,
        `[8][][{}][{id}][{"id":8,"name":"","tags":{}}]`
      ])
    }))

  it.scopedLive("are not needed: the line is the last argument then, as it is", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", `$HOME "quoted" 'single' *\r\n  --help  \n\n-n {x}\n`)
      yield* at.run(["batch", "in.txt", "--out", "out.jsonl", "--", ...show])
      expect(outputs(at)).toEqual([`[$HOME "quoted" 'single' *]`, "[  --help  ]", "[-n {x}]"])
    }))

  it.scopedLive("are quoted with --shell, where the rest is the shell's", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", `$(touch hacked) 'x'; "y"\n`)
      const script = `printf '%s|' {} "$PWD" | tr a-z A-Z`
      yield* at.run(["batch", "in.txt", "--out", "out.jsonl", "--shell", "--", script])
      expect(outputs(at)).toEqual([`$(TOUCH HACKED) 'X'; "Y"|${at.directory.toUpperCase()}|`])
      expect(at.read("hacked")).toBe("")
    }))
})

describe("tasks", () => {
  it.scopedLive("come from stdin, where JSON strings are tasks too", () =>
    Effect.gen(function*() {
      const at = yield* place
      const input = `"one\\ntwo"\n"three"\n`
      const ended = yield* at.run(["batch", "-", "--out", "out.jsonl", "--", ...show], { input })
      expect(ended).toMatchObject({ exitCode: 0 })
      expect(ended.stderr).toMatch(/^stdin-[0-9a-f]{8}: done/)
      expect(outputs(at)).toEqual(["[one\ntwo]", "[three]"])
      expect(results(at).map((result) => result.task)).toEqual(["one\ntwo", "three"])
    }))

  it.scopedLive("that have finished are not run again, and an added option changes nothing about that", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(3))
      const command = ["--", "sh", "-c", `echo {} >> ran`]
      yield* at.run(["batch", "in.txt", "-c", "1", ...command])
      const again = yield* at.run(["batch", "in.txt", "--json", "--out", "out.jsonl", ...command])
      expect(again).toMatchObject({ exitCode: 0 })
      expect(again.stderr).toMatch(/was already done: 3 ok, 0 failed, of 3/)
      expect(JSON.parse(again.stdout)).toMatchObject({ total: 3, ok: 3, ran: 0, left: 0, exitCode: 0 })
      expect(at.lines("ran")).toEqual(["1", "2", "3"])
      expect(results(at)).toHaveLength(3)
    }))

  it.scopedLive("that fail are tried again with growing delays, and end the batch with exit code 1", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(2))
      const script = `echo {} >> ran; echo told >&2; [ {} = 1 ] && [ $(grep -c 1 ran) = 2 ]`
      const ended = yield* at.run([
        "batch",
        "in.txt",
        "--retries",
        "1",
        "--out",
        "out.jsonl",
        "--",
        "sh",
        "-c",
        script
      ])
      expect(ended).toMatchObject({ exitCode: 1, stdout: "" })
      expect(ended.stderr).toMatch(/1 ok, 1 failed, of 2/)
      expect(results(at)).toMatchObject([
        { index: 1, status: "ok", exitCode: 0, attempts: 2 },
        { index: 2, status: "failed", exitCode: 1, attempts: 2, stderr: "told\n", truncated: false }
      ])
      expect([...at.lines("ran")].sort()).toEqual(["1", "1", "2", "2"])
    }))
})

describe("output", () => {
  it.scopedLive("is one JSON document on stdout with --json, and prose without escape codes on stderr", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(3))
      const ended = yield* at.run([
        "batch",
        "in.txt",
        "--name",
        "named",
        "--json",
        "--retries",
        "0",
        "--",
        "sh",
        "-c",
        "echo noise; false"
      ])
      expect(ended.exitCode).toBe(1)
      expect(JSON.parse(ended.stdout)).toMatchObject({
        batch: "named",
        total: 3,
        ok: 0,
        failed: 3,
        skipped: 0,
        left: 0,
        ran: 3,
        exitCode: 1
      })
      expect(ended.stdout.trimEnd().split("\n")).toHaveLength(1)
      expect(ended.stderr).toMatch(/^named: /)
      expect(ended.stdout + ended.stderr).not.toContain("\u001b")
    }))

  it.scopedLive("of the command is in --out, with times, and in no other place", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", "x\n")
      const ended = yield* at.run([
        "batch",
        "in.txt",
        "--out",
        "out.jsonl",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2"
      ])
      expect(ended.stdout).toBe("")
      expect(ended.stderr).not.toContain("err")
      const [result] = results(at)
      expect(result).toEqual({
        index: 1,
        task: "x",
        status: "ok",
        exitCode: 0,
        signal: null,
        timedOut: false,
        attempts: 1,
        startedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        durationMillis: expect.any(Number),
        stdout: "out\n",
        stderr: "err\n",
        truncated: false
      })
    }))

  it.scopedLive("goes to the database that HOLDFAST_DB names, which --db overrules", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", "x\n")
      const env = { HOLDFAST_DB: "named.db" }
      yield* at.run(["batch", "in.txt", "--", "true"], { env })
      yield* at.run(["batch", "in.txt", "--db", "given.db", "--", "true"], { env })
      const listed = yield* Effect.forEach(
        ["named.db", "given.db"],
        (db) => at.run(["tasks", "list", "--json", "--db", db])
      )
      expect(listed.map(({ stdout }) => stdout.split("\n").length - 1)).toEqual([1, 1])
      expect((yield* at.run(["ps"])).exitCode).toBe(4)
    }))
})
