import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import type { Place, StartOptions } from "../support/holdfast.ts"
import { linesOf, numbers, place } from "../support/holdfast.ts"

/** Runs what must be refused as wrong usage before anything starts, and yields what it says. */
const refused = (at: Place, args: ReadonlyArray<string>, options?: StartOptions) =>
  Effect.gen(function*() {
    const before = FileSystem.readdirSync(at.directory)
    const ended = yield* at.run(args, options)
    expect(ended).toMatchObject({ exitCode: 2, stdout: "" })
    expect(ended.stderr).not.toMatch(/^\s+at |timestamp=|level=/m)
    expect(ended.stderr).not.toContain("\u001b")
    expect(FileSystem.readdirSync(at.directory)).toEqual(before)
    const [message = "", ...more] = linesOf(ended.stderr).filter((line) => line !== "")
    expect(more).toEqual([])
    return message
  })

describe("wrong usage is told in one line on stderr, with exit code 2 and nothing started", () => {
  const cases: ReadonlyArray<readonly [title: string, args: string, message: string | RegExp]> = [
    [
      "an option that is almost one",
      "batch in.txt --conc 3 -- true",
      "unknown option --conc: did you mean --concurrency?"
    ],
    ["an option that is misspelt", "tasks list --qeue x", "unknown option --qeue: did you mean --queue?"],
    ["an option of nothing", "batch in.txt -x -- true", "unknown option -x: see holdfast batch --help"],
    ["an option before the command", "--frob", "unknown option --frob: see holdfast --help"],
    ["an option without its value", "batch in.txt --name -- true", "--name needs a value"],
    [
      "an option as a value",
      "batch in.txt --out --json -- true",
      "--out needs a value, and --json looks like an option"
    ],
    ["an option given twice", "ps --db a --db b", "--db is given twice"],
    ["a number that is none", "tasks list --limit x", "--limit must be a whole number, not x"],
    ["a number out of range", "batch in.txt -c 0 -- true", "--concurrency must be from 1 to 1000, not 0"],
    ["a choice that is none", "tasks list --status odd", /^--status must be one of ready, .* not odd$/],
    [
      "a command that is none",
      "bacth in.txt",
      "unknown command bacth: use agents, batch, db, ps, run, tasks"
    ],
    ["a subcommand that is none", "tasks lst", "unknown command tasks lst: use list, retry, show"],
    ["an operand too many", "ps more", /'more'/],
    ["a batch without a command", "batch in.txt", /^the command to run is missing/],
    ["a batch with an empty command", "batch in.txt --", /^the command to run is missing/],
    ["a batch without tasks", "batch -- true", /TASKS/],
    ["a file of tasks that is not there", "batch no.txt -- true", /^no\.txt: ENOENT/],
    ["a directory of tasks", "batch . -- true", /^\.: EISDIR/],
    ["a rate that is none", "batch in.txt --rate 5 -- true", /^--rate: .*5/],
    ["a timeout without a unit", "batch in.txt --timeout 10 -- true", /^--timeout 10: write a number and/],
    ["a share above all", "batch in.txt --breaker 101% -- true", /^--breaker 101%: write a share/],
    ["a priority of plain text", "batch in.txt --priority p -- true", /^in\.txt:1: --priority names a field/],
    ["a program that is not there", "batch in.txt -- no-such-program", /not found.*: no-such-program$/],
    ["a program that is a file", "batch in.txt -- ./in.txt", /not executable: \.\/in\.txt$/],
    ["a field of plain text", "batch in.txt -- echo {name}", /^in\.txt:1: \{name\} names a field/],
    [
      "results in place of the tasks",
      "batch in.txt --out ./in.txt -- true",
      "--out ./in.txt: this file holds the tasks"
    ],
    [
      "failures in place of results",
      "batch in.txt --out o --failed o -- true",
      "--failed o: this file holds what --out writes"
    ],
    ["results in a directory that is not there", "batch in.txt --out no/o -- true", /^--out no\/o: ENOENT/],
    ["results in a directory", "batch in.txt --out . -- true", /^\.: this is not a regular file$/],
    ["retries of nothing", "tasks retry -q x", /^name tasks by their ID/],
    ["retries of all, unasked", "tasks retry -q x --all", /add --yes/],
    ["a time that is none", "tasks list --since soon", /^--since soon: write an ISO 8601 time/],
    ["a server as database", "ps --db postgres://host/db", /SQLite file/]
  ]

  it.scopedLive.each(cases)("%s", ([, args, message]) =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", numbers(2))
      const told = (yield* refused(at, args.split(" "))).replace(/^holdfast: /, "")
      if (typeof message === "string") expect(told).toBe(message)
      else expect(told).toMatch(message)
    }))
})

describe("bad input is told with its file and line, with exit code 2 and nothing started", () => {
  const big = "x".repeat(2 * 1024 * 1024)
  const cases: ReadonlyArray<
    readonly [title: string, content: string | Uint8Array, message: string | RegExp]
  > = [
    [
      "JSON that breaks off on line 3",
      `{"a":1}\n\n{"a":\n{"a":2}\n`,
      /^in:3: this is not JSON, as the first line is/
    ],
    [
      "JSON that is no task",
      `{"a":1}\n[1]\n`,
      "in:2: a JSON task is an object or a string, and this line is neither"
    ],
    ["a field that one object lacks", `{"a":1}\n{"b":2}\n`, `in:2: the task has no field "a"; it has b`],
    ["a field that is null", `{"a":1}\n{"a":null}\n`, `in:2: the task has no field "a"; it has a`],
    [
      "an id that would be rounded",
      `{"a":12345678901234567891}\n`,
      /^in:1: the number 12345678901234567891 has more digits/
    ],
    ["no task at all", " \n\r\n", "in: there are no tasks in it"],
    ["nothing at all", "", "in: there are no tasks in it"],
    [
      "a task of 2 MiB",
      `{"a":1}\n{"a":"${big}"}\n`,
      /^in:2: the task has 2097160 bytes as JSON; the limit is 1047552$/
    ],
    [
      "a task that is too long once escaped",
      `{"a":"${"\\u0001".repeat(180_000)}"}\n`,
      /^in:1: the task has 1080008 bytes/
    ],
    [
      "a binary file",
      new Uint8Array([0x7b, 0x7d, 10, 0, 1, 2, 0xff]),
      "in:2: this is not UTF-8 text; is it a binary file?"
    ],
    [
      "a NUL in a field",
      `{"a":"x\\u0000y"}\n`,
      "in:1: it holds a NUL character, which no command can be given"
    ]
  ]

  it.scopedLive.each(cases)("%s", ([, content, message]) =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in", content)
      const told = (yield* refused(at, ["batch", "in", "--", "echo", "{a}"])).replace(/^holdfast: /, "")
      if (typeof message === "string") expect(told).toBe(message)
      else expect(told).toMatch(message)
    }))

  it.scopedLive("a priority that is no whole number", () =>
    Effect.gen(function*() {
      const at = yield* place
      const input = `{"p":1}\n{"p":"2"}\n`
      expect(yield* refused(at, ["batch", "-", "--priority", "p", "--", "true"], { input })).toBe(
        `holdfast: stdin:2: the field "p" (--priority) must be a whole number, not "2"`
      )
    }))
})

describe("help", () => {
  it.scopedLive("of the batch shows its options and examples, and lets no escape code out", () =>
    Effect.gen(function*() {
      const at = yield* place
      const ended = yield* at.run(["batch", "--help"])
      expect(ended).toMatchObject({ exitCode: 0, stderr: "" })
      expect(ended.stdout).toContain("holdfast batch urls.txt --concurrency 8 --rate 20/s -- curl")
      for (
        const option of ["--retries", "--timeout", "--fail-fast", "--breaker", "--out", "--restart", "{#}"]
      ) {
        expect(ended.stdout).toContain(option)
      }
      expect(ended.stdout).not.toContain("\u001b")
    }))

  it.scopedLive("is the user's command's behind --, like every other option there", () =>
    Effect.gen(function*() {
      const at = yield* place
      at.write("in.txt", "x\n")
      const command = ["sh", "-c", `printf '%s ' "$@"`, "sh", "--help", "--version", "--db", "--", "{}"]
      const ended = yield* at.run(["batch", "in.txt", "--out", "out.jsonl", "--", ...command])
      expect(ended.exitCode).toBe(0)
      expect(JSON.parse(at.read("out.jsonl")).stdout).toBe("--help --version --db -- x ")
    }))

  it.scopedLive("is what the bare command shows", () =>
    Effect.gen(function*() {
      const at = yield* place
      const bare = yield* at.run([])
      expect(bare).toEqual(yield* at.run(["--help"]))
      expect(bare.stdout).toContain("COMMANDS")
    }))
})
