import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import { eventually } from "../support/command-processes.ts"
import { numbers, place, results, upTo } from "../support/holdfast.ts"

const echo = ["--out", "out.jsonl", "--", "echo"]

/** A batch of three tasks that is done, and its lines. */
const done = Effect.gen(function*() {
  const at = yield* place
  at.write("in.txt", numbers(3))
  yield* at.run(["batch", "in.txt", "-c", "1", ...echo])
  return { at, lines: at.lines("out.jsonl") }
})

const again = ["batch", "in.txt", ...echo]

describe("an --out file that no batch has written is refused with exit code 2, and left as it is", () => {
  const cases: ReadonlyArray<readonly [title: string, content: string, line: number]> = [
    ["text", "precious\n", 1],
    ["text without a line feed", "precious", 1],
    ["other JSON", `{"index":1}\n`, 1],
    [
      "another line behind results",
      `{"index":1,"task":"1","status":"ok","attempts":1,"startedAt":null}\nprecious\n`,
      2
    ],
    ["a blank line", "\n", 1]
  ]

  it.scopedLive.each(cases)("%s", ([, content, line]) =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(3))
      at.write("out.jsonl", content)
      const ended = yield* at.run(again)
      expect(ended.exitCode).toBe(2)
      expect(ended.stderr).toMatch(
        new RegExp(`^holdfast: out\\.jsonl:${line}: this is not the output of a batch`)
      )
      expect(at.read("out.jsonl")).toBe(content)
      expect(FileSystem.readdirSync(at.directory).sort()).toEqual(["in.txt", "out.jsonl"])
    }))
})

describe("an --out file is completed by the next run", () => {
  const damages: ReadonlyArray<readonly [title: string, damage: (lines: ReadonlyArray<string>) => string]> = [
    ["after its last line was torn", (lines) => `${lines.join("\n").slice(0, -20)}`],
    ["after it was torn inside its first line", (lines) => lines.join("").slice(0, 5)],
    ["after lines in the middle were lost", (lines) => `${lines[0]}\n${lines[2]}\n`],
    ["after it was emptied", () => ""],
    ["after a line was written twice", (lines) => [...lines, lines[1], ""].join("\n")],
    [
      "after a line of another batch got into it",
      (lines) => `${lines[0]?.replace(/"startedAt":"\d+/, `"startedAt":"1999`)}\n`
    ]
  ]

  it.scopedLive.each(damages)("%s", ([, damage]) =>
    Effect.gen(function*() {
      const { at, lines } = yield* done
      at.write("out.jsonl", damage(lines))
      expect((yield* at.run(again)).exitCode).toBe(0)
      expect([...at.lines("out.jsonl")].sort()).toEqual([...lines].sort())
    }))

  it.scopedLive("after it was removed, through a link to it, and without its lock's file being left", () =>
    Effect.gen(function*() {
      const { at, lines } = yield* done
      FileSystem.renameSync(at.file("out.jsonl"), at.file("elsewhere.jsonl"))
      FileSystem.truncateSync(at.file("elsewhere.jsonl"), 10)
      FileSystem.symlinkSync("elsewhere.jsonl", at.file("out.jsonl"))
      yield* at.run(again)
      expect(at.lines("elsewhere.jsonl")).toEqual(lines)
      expect(FileSystem.readlinkSync(at.file("out.jsonl"))).toBe("elsewhere.jsonl")
      FileSystem.rmSync(at.file("out.jsonl"))
      yield* at.run(again)
      expect(at.lines("out.jsonl")).toEqual(lines)
      expect(FileSystem.readdirSync(at.directory).sort()).toEqual([
        "elsewhere.jsonl",
        "holdfast.db",
        "in.txt",
        "out.jsonl"
      ])
    }))

  it.scopedLive("after its writer was killed, which leaves its lock's file behind", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(30))
      const args = ["batch", "in.txt", "-c", "2", "--out", "out.jsonl", "--", "sh", "-c", "sleep 0.05"]
      const first = at.start(args)
      yield* eventually(() => at.lines("out.jsonl").length > 2)
      first.signal("SIGKILL")
      yield* first.ended
      expect(FileSystem.readdirSync(at.directory).filter((name) => name.includes(".out-"))).toHaveLength(1)
      expect(yield* at.run(args)).toMatchObject({ exitCode: 0 })
      expect(results(at).map((result) => result.index)).toEqual(upTo(30))
    }))
})

describe("a task that is retried by hand", () => {
  /** Fails until there is a file `mended`. */
  const mendable = ["--", "sh", "-c", "[ -e mended ]"]

  it.scopedLive("has its new result alone in --out, where the batch had ended before", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(3))
      const args = ["batch", "in.txt", "--name", "b", "--retries", "0", "--out", "out.jsonl", ...mendable]
      expect((yield* at.run(args)).exitCode).toBe(1)
      expect(results(at).map((result) => result.status)).toEqual(["failed", "failed", "failed"])
      at.write("mended", "")
      yield* at.run(["tasks", "retry", "--queue", "b", "2"])
      expect((yield* at.run(args)).exitCode).toBe(1)
      expect(results(at).map((result) => result.status)).toEqual(["failed", "ok", "failed"])
    }))

  it.scopedLive("has its new result alone in --out, where the batch goes on meanwhile", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(2))
      const script = `[ {} = 1 ] && { [ -e mended ]; exit; }; until [ -e over ]; do sleep 0.02; done`
      const args = ["batch", "in.txt", "--name", "b", "-c", "2", "--retries", "0", "--out", "out.jsonl"]
      const batch = at.start([...args, "--", "sh", "-c", script])
      yield* eventually(() => at.lines("out.jsonl").length === 1)
      at.write("mended", "")
      expect(yield* at.run(["tasks", "retry", "--queue", "b", "1"])).toMatchObject({ exitCode: 0 })
      yield* eventually(() => at.lines("out.jsonl").length === 2)
      at.write("over", "")
      expect(yield* batch.ended).toMatchObject({ exitCode: 0 })
      expect(results(at)).toMatchObject([{ index: 1, status: "ok" }, { index: 2, status: "ok" }])
    }))
})

describe("a --failed file", () => {
  /** Fails for inputs that hold a 2. */
  const failing = [
    "--retries",
    "0",
    "--failed",
    "failed",
    "--",
    "sh",
    "-c",
    `case "$1" in *2*) exit 1; esac`,
    "sh",
    "{}"
  ]

  const fedBack = (input: string, expected: string) =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in", input)
      expect((yield* at.run(["batch", "in", ...failing])).exitCode).toBe(1)
      expect(at.read("failed")).toBe(expected)
      yield* at.run(["batch", "failed", "--out", "out.jsonl", "--", "echo"])
      return results(at).map((result) => result.task)
    })

  it.scopedLive("holds the lines of failed tasks, and is the input of another batch", () =>
    Effect.gen(function*() {
      expect(yield* fedBack("1\n 2 \n3\n22\n", " 2 \n22\n")).toEqual([" 2 ", "22"])
    }))

  it.scopedLive("holds the objects of failed tasks as JSON Lines", () =>
    Effect.gen(function*() {
      const task = { n: 2, deep: [{ a: "é\n" }] }
      const line = `${JSON.stringify(task)}\n`
      expect(yield* fedBack(`{"n":1}\n${line}`, line)).toEqual([task])
    }))

  it.scopedLive("holds lines as JSON where they would be taken for it", () =>
    Effect.gen(function*() {
      expect(yield* fedBack(`plain\n{"n":2}\n2\n`, `"{\\"n\\":2}"\n"2"\n`)).toEqual([`{"n":2}`, "2"])
    }))

  it.scopedLive("is empty when none has failed", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in", "1\n")
      at.write("failed", "old\n")
      expect((yield* at.run(["batch", "in", ...failing])).exitCode).toBe(0)
      expect(FileSystem.readFileSync(at.file("failed"), "utf8")).toBe("")
    }))
})
