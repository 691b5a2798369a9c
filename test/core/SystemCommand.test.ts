import { describe, expect, it } from "@effect/vitest"
import { SystemCommand } from "@holdfast/core/node"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import * as Schema from "effect/Schema"
import * as Supervisor from "effect/Supervisor"
import * as TestClock from "effect/TestClock"
import { Buffer } from "node:buffer"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Process from "node:process"
import { OutputTail } from "../../packages/core/src/internal/OutputTail.ts"
import { ProcessGroup } from "../../packages/core/src/internal/ProcessGroup.ts"
import {
  eventually,
  freshMarker,
  isRunning,
  markedPids,
  readIfPresent,
  temporaryDirectory
} from "../support/command-processes.ts"

const brief = { killGrace: "100 millis" } as const

/** A script that says it is ready, and a run of it that times out once it has. */
const timedOutWhenReady = (script: string, settings: SystemCommand.CommandSettings) =>
  Effect.gen(function*() {
    const cwd = yield* temporaryDirectory
    const running = yield* Effect.fork(SystemCommand.shell({ script, cwd, timeout: "1 hour", ...settings }))
    yield* eventually(() => FileSystem.existsSync(Path.join(cwd, "ready")))
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(running)
  })

describe("SystemCommand", () => {
  describe("what it reports", () => {
    it.live("reports the exit code, both outputs, the start and the duration", () =>
      Effect.gen(function*() {
        const before = yield* Clock.currentTimeMillis
        const result = yield* SystemCommand.shell({ script: "echo out; echo err >&2; exit 3" })
        expect(result).toMatchObject({
          exitCode: 3,
          signal: null,
          timedOut: false,
          stdout: "out\n",
          stderr: "err\n",
          truncated: false
        })
        expect(result.startedAtMillis).toBeGreaterThanOrEqual(before)
        expect(result.startedAtMillis).toBeLessThanOrEqual(yield* Clock.currentTimeMillis)
        expect(result.durationMillis).toBeGreaterThan(0)
        expect(Schema.is(SystemCommand.CommandResult)(result)).toBe(true)
      }))

    it.live("reports the signal that ended a command", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.shell({ script: "kill -USR1 $$" })
        expect(result).toMatchObject({ exitCode: null, signal: "SIGUSR1", timedOut: false })
      }))

    it.scoped("measures the life of the command by the clock, not the wait for what it left behind", () =>
      Effect.gen(function*() {
        const cwd = yield* temporaryDirectory
        const script = "trap '' TERM; sleep 1000 & echo $$ > leader"
        const running = yield* Effect.fork(SystemCommand.shell({ script, cwd, killGrace: "300 millis" }))
        yield* eventually(() => {
          const leader = readIfPresent(Path.join(cwd, "leader"))
          return leader.endsWith("\n") && !FileSystem.existsSync(`/proc/${leader.trim()}`)
        })
        yield* TestClock.adjust("1 hour")
        expect(yield* Fiber.join(running)).toMatchObject({ exitCode: 0, durationMillis: 0 })
      }))

    it.live.each([10, 11, 12, 13, 14, 15, 16])(
      "misses nothing when its fiber yields every %i steps",
      (steps) =>
        Effect.gen(function*() {
          const missing = yield* Effect.flip(SystemCommand.run({ command: "no-such-command-of-holdfast" }))
          const result = yield* SystemCommand.shell({ script: "echo out", timeout: "1 hour" })
          expect(missing).toMatchObject({ _tag: "CommandNotFound" })
          expect(result).toMatchObject({ exitCode: 0, stdout: "out\n" })
        }).pipe(Effect.withMaxOpsBeforeYield(steps), Effect.withScheduler(Scheduler.timer(0)))
    )

    it.live("runs two hundred commands at once", () =>
      Effect.gen(function*() {
        const numbers = Array.from({ length: 200 }, (_, index) => index)
        const results = yield* Effect.forEach(
          numbers,
          (number) => SystemCommand.shell({ script: `echo ${number}; exit ${number}` }),
          { concurrency: "unbounded" }
        )
        expect(results.map(({ exitCode }) => exitCode)).toEqual(numbers)
        expect(results.map(({ stdout }) => stdout)).toEqual(numbers.map((number) => `${number}\n`))
      }))
  })

  describe("what it passes", () => {
    it.live("passes arguments as they are", () =>
      Effect.gen(function*() {
        const args = ["$HOME", "a b", "*", ";exit 1", "", "\"'\\", "ünï\n"]
        const result = yield* SystemCommand.run({ command: "printf", args: ["%s|", ...args] })
        expect(result.stdout).toBe(args.map((argument) => `${argument}|`).join(""))
      }))

    it.live("gives a script to the shell", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.shell({ script: "printf '%s' $((6 * 7)) | cat" })
        expect(result.stdout).toBe("42")
      }))

    it.live("gives a command an empty input by default", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.run({ command: "cat" })
        expect(result).toMatchObject({ exitCode: 0, stdout: "" })
      }))

    it.live("gives a command its input", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.run({ command: "cat", stdin: "grüße\n" })
        expect(result.stdout).toBe("grüße\n")
      }))

    it.live("does not mind a command that leaves a large input unread", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.run({ command: "true", stdin: "x".repeat(10_000_000) })
        expect(result.exitCode).toBe(0)
      }))

    it.live("gives a command exactly the environment it is given", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.run({ command: "/usr/bin/env", env: { A: "1", B: "x=y" } })
        expect(result.stdout.trim().split("\n").sort()).toEqual(["A=1", "B=x=y"])
      }))

    it.live("gives a command the environment of this process otherwise", () =>
      Effect.gen(function*() {
        const inherited = yield* SystemCommand.inheritedEnvironment
        const result = yield* SystemCommand.run({ command: "/usr/bin/env", args: ["-0"] })
        const names = result.stdout.split("\0").map((entry) => entry.split("=")[0])
        expect(names).toEqual(expect.arrayContaining(Object.keys(inherited)))
      }))

    it.scopedLive("runs in the directory it is given", () =>
      Effect.gen(function*() {
        const cwd = yield* temporaryDirectory
        const result = yield* SystemCommand.run({ command: "pwd", cwd })
        expect(result.stdout.trim()).toBe(FileSystem.realpathSync(cwd))
      }))
  })

  describe("what it keeps of the output", () => {
    it.live("keeps the last bytes of each stream and says that it cut", () =>
      Effect.gen(function*() {
        const script = "seq 1 20000; seq 1 20000 >&2; echo the end >&2"
        const result = yield* SystemCommand.shell({ script, maxOutputBytes: 16 })
        expect(result.stdout).toBe("998\n19999\n20000\n")
        expect(result.stderr).toBe("9\n20000\nthe end\n")
        expect(result.truncated).toBe(true)
      }))

    it.live("says that it cut when only one stream was too long", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.shell({ script: "echo 12345; echo 1 >&2", maxOutputBytes: 5 })
        expect(result).toMatchObject({ stdout: "2345\n", stderr: "1\n", truncated: true })
      }))

    it.live("keeps output of exactly the bound whole", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.shell({ script: "printf 12345", maxOutputBytes: 5 })
        expect(result).toMatchObject({ stdout: "12345", truncated: false })
      }))

    it.live("keeps nothing with a bound of zero", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.shell({ script: "echo 12345", maxOutputBytes: 0 })
        expect(result).toMatchObject({ stdout: "", truncated: true })
      }))

    it.live("replaces bytes that are no UTF-8", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.shell({ script: "printf 'a\\377\\000\\200b\\303'" })
        expect(result).toMatchObject({ stdout: "a\ufffd\0\ufffdb\ufffd", truncated: false })
      }))

    it.live("does not begin in the middle of a character", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.run({
          command: "printf",
          args: ["%s", "x€😀y"],
          maxOutputBytes: 7
        })
        expect(result).toMatchObject({ stdout: "😀y", truncated: true })
      }))

    it.prop(
      "keeps a suffix of whole characters, shorter than the bound by less than one of them",
      [
        FastCheck.string({ unit: "binary", maxLength: 300, size: "max" }),
        FastCheck.nat(200),
        FastCheck.integer({ min: 1, max: 9 })
      ],
      ([text, maxBytes, chunkBytes]) => {
        const bytes = Buffer.from(text)
        const tail = new OutputTail(maxBytes)
        for (let at = 0; at < bytes.length; at += chunkBytes) tail.push(bytes.subarray(at, at + chunkBytes))
        const kept = Buffer.byteLength(tail.text())
        expect(Buffer.from(text).toString().endsWith(tail.text())).toBe(true)
        expect(tail.truncated).toBe(bytes.length > maxBytes)
        expect(kept).toBeLessThanOrEqual(maxBytes)
        expect(kept).toBeGreaterThan(Math.min(maxBytes, bytes.length) - 4)
      }
    )
  })

  describe("why it does not start", () => {
    const failureOf = (options: SystemCommand.CommandOptions) => Effect.flip(SystemCommand.run(options))

    it.live("names a command that does not exist", () =>
      Effect.gen(function*() {
        const error = yield* failureOf({ command: "no-such-command-of-holdfast" })
        expect(error).toEqual(new SystemCommand.CommandNotFound({ command: "no-such-command-of-holdfast" }))
        expect(error.message).toBe("Command not found: no-such-command-of-holdfast")
      }))

    it.scopedLive("names a file that is not executable", () =>
      Effect.gen(function*() {
        const command = Path.join(yield* temporaryDirectory, "data")
        FileSystem.writeFileSync(command, "data", { mode: 0o600 })
        const error = yield* failureOf({ command })
        expect(error).toMatchObject({ _tag: "CommandFailedToStart", command, code: "EACCES" })
        expect(error.message).toBe(`Command ${command} could not be started: permission denied (EACCES)`)
      }))

    it.live("tells a missing directory from a missing command", () =>
      Effect.gen(function*() {
        const error = yield* failureOf({ command: "true", cwd: "/no/such/directory" })
        expect(error).toMatchObject({
          _tag: "CommandFailedToStart",
          code: "ENOENT",
          cwd: "/no/such/directory"
        })
        expect(yield* failureOf({ command: "no-such-command-of-holdfast", cwd: "/" })).toMatchObject({
          _tag: "CommandNotFound"
        })
      }))

    const refusals: ReadonlyArray<[string, string, SystemCommand.CommandOptions]> = [
      ["a NUL in an argument", "ERR_INVALID_ARG_VALUE", { command: "true", args: ["a\0b"] }],
      ["a NUL in the command", "ERR_INVALID_ARG_VALUE", { command: "true\0" }],
      ["a NUL in the environment", "ERR_INVALID_ARG_VALUE", { command: "true", env: { A: "\0" } }],
      ["an empty command", "ERR_INVALID_ARG_VALUE", { command: "" }],
      ["arguments that are too long", "E2BIG", { command: "true", args: ["x".repeat(5_000_000)] }],
      ["a directory that is a file", "ENOTDIR", { command: "true", cwd: "/bin/sh" }],
      ["a bound that is not a number", "ERR_OUT_OF_RANGE", { command: "true", maxOutputBytes: Number.NaN }],
      ["a bound below zero", "ERR_OUT_OF_RANGE", { command: "true", maxOutputBytes: -1 }],
      ["a bound without end", "ERR_OUT_OF_RANGE", { command: "true", maxOutputBytes: Infinity }]
    ]
    it.live.each(refusals)("refuses %s with %s", ([, code, options]) =>
      Effect.gen(function*() {
        const error = yield* failureOf(options)
        expect(error).toMatchObject({ _tag: "CommandFailedToStart", code })
        expect(error.message.length).toBeLessThan(400)
      }))
  })

  describe("what it leaves running", () => {
    it.scoped("kills the process group of a command that is out of time", () =>
      Effect.gen(function*() {
        const { env, marker } = yield* freshMarker
        const result = yield* timedOutWhenReady("sleep 1000 & sleep 1000 & touch ready; wait", { env })
        expect(result).toMatchObject({ exitCode: null, signal: "SIGTERM", timedOut: true })
        expect(markedPids(marker)).toEqual([])
      }))

    it.scoped("lets a command that is out of time end by itself within the grace", () =>
      Effect.gen(function*() {
        const script = "trap 'echo bye; exit 7' TERM; touch ready; while :; do sleep 0.01; done"
        const result = yield* timedOutWhenReady(script, { killGrace: "20 seconds" })
        expect(result).toMatchObject({ exitCode: 7, signal: null, timedOut: true, stdout: "bye\n" })
      }))

    it.scoped("kills a group that ignores SIGTERM once the grace has passed", () =>
      Effect.gen(function*() {
        const { env, marker } = yield* freshMarker
        const script = "trap '' TERM; sleep 1000 & touch ready; while :; do sleep 1000; done"
        const result = yield* timedOutWhenReady(script, { env, ...brief })
        expect(result).toMatchObject({ exitCode: null, signal: "SIGKILL", timedOut: true })
        expect(markedPids(marker)).toEqual([])
      }))

    it.scoped("keeps what a command wrote before it was out of time", () =>
      Effect.gen(function*() {
        const result = yield* timedOutWhenReady("echo so far; touch ready; sleep 1000", brief)
        expect(result).toMatchObject({ timedOut: true, stdout: "so far\n" })
      }))

    it.live("does not call a command timed out that ends in time", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.run({ command: "true", timeout: "1 hour" })
        expect(result).toMatchObject({ exitCode: 0, timedOut: false })
      }))

    it.live("kills a command at once whose timeout is zero", () =>
      Effect.gen(function*() {
        const result = yield* SystemCommand.run({ command: "sleep", args: ["1000"], timeout: 0 })
        expect(result).toMatchObject({ signal: "SIGTERM", timedOut: true })
      }))

    it.scopedLive("has ended the group when an interruption returns, however the group takes SIGTERM", () =>
      Effect.gen(function*() {
        const { env, marker } = yield* freshMarker
        const cwd = yield* temporaryDirectory
        const script = "trap 'touch asked' TERM; sleep 1000 & touch ready; while :; do sleep 0.01; done"
        const running = yield* Effect.fork(SystemCommand.shell({ script, cwd, env, ...brief }))
        yield* eventually(() => FileSystem.existsSync(Path.join(cwd, "ready")))
        yield* Fiber.interrupt(running)
        expect(FileSystem.existsSync(Path.join(cwd, "asked"))).toBe(true)
        expect(markedPids(marker)).toEqual([])
      }))

    it.scopedLive("kills what runs on in the group of a command that has ended, and keeps its output", () =>
      Effect.gen(function*() {
        const { env, marker } = yield* freshMarker
        const result = yield* SystemCommand.shell({ script: "sleep 1000 & echo done", env })
        expect(result).toMatchObject({ exitCode: 0, signal: null, timedOut: false, stdout: "done\n" })
        expect(markedPids(marker)).toEqual([])
      }))

    it.scopedLive("kills what runs on in the group without holding a pipe or heeding SIGTERM", () =>
      Effect.gen(function*() {
        const { env, marker } = yield* freshMarker
        const script = "trap '' TERM; sleep 1000 > /dev/null 2>&1 & exit 5"
        const result = yield* SystemCommand.shell({ script, env, ...brief })
        expect(result).toMatchObject({ exitCode: 5, signal: null, timedOut: false })
        expect(markedPids(marker)).toEqual([])
      }))

    it.live("keeps what a helper of an ended command still had to write", () =>
      Effect.gen(function*() {
        const helped = yield* SystemCommand.shell({ script: "{ sleep 0.04; echo late; } & exit 0" }).pipe(
          Effect.repeat({ until: ({ stdout }) => stdout === "late\n", times: 20 })
        )
        expect(helped).toMatchObject({ exitCode: 0, stdout: "late\n" })
      }))

    it.scopedLive("does not wait for a process that left the group with the pipes", () =>
      Effect.gen(function*() {
        const { env, marker } = yield* freshMarker
        const cwd = yield* temporaryDirectory
        const result = yield* SystemCommand.shell({ script: `${escape("one")}; echo done`, env, cwd })
        expect(result).toMatchObject({ exitCode: 0, stdout: "done\n", timedOut: false })
        expect(markedPids(marker)).toHaveLength(1)
      }))

    it.scopedLive("does not take zombies that nobody reaps for a running group", () =>
      Effect.gen(function*() {
        const cwd = yield* temporaryDirectory
        const child = "until grep -q sleep /proc/$$/comm; do sleep 0.01; done"
        const script = `set -m; { ${child}; } & echo $! > pid; exec sleep 1000`
        const running = yield* Effect.fork(SystemCommand.run({ command: "bash", args: ["-c", script], cwd }))
        const group = () => Number(readIfPresent(Path.join(cwd, "pid")))
        yield* eventually(() => group() > 0 && !isRunning(group()))
        expect(Process.kill(-group(), 0)).toBe(true)
        expect(new ProcessGroup(group()).isAlive()).toBe(false)
        yield* Fiber.interrupt(running)
      }))
  })

  describe.sequential("what it costs this process", () => {
    it.live("reads a hundred megabytes without keeping them", () =>
      Effect.gen(function*() {
        const before = Process.memoryUsage()
        const result = yield* SystemCommand.shell({
          script:
            "head -c 100000000 /dev/zero | tr '\\0' x; head -c 100000000 /dev/zero | tr '\\0' y >&2; echo end >&2"
        })
        const after = Process.memoryUsage()
        expect(result.stdout).toBe("x".repeat(64 * 1024))
        expect(result.stderr).toBe(`${"y".repeat(64 * 1024 - 4)}end\n`)
        expect(result.truncated).toBe(true)
        expect(after.rss - before.rss).toBeLessThan(100_000_000)
      }))

    it.scopedLive("leaves no descriptor, handle, listener, fiber or zombie behind, whatever becomes of a command", () =>
      Effect.gen(function*() {
        const { env, marker } = yield* freshMarker
        const cwd = yield* temporaryDirectory
        const fibers = yield* Supervisor.track
        const commands = Effect.all([
          SystemCommand.run({ command: "true", env, timeout: "1 hour" }),
          SystemCommand.run({ command: "cat", env, stdin: "x".repeat(200_000) }),
          SystemCommand.run({ command: "true", env, stdin: "x".repeat(200_000) }),
          SystemCommand.run({ command: "sleep", args: ["1000"], env, timeout: 1 }),
          SystemCommand.shell({ script: "sleep 1000 &", env }),
          SystemCommand.shell({ script: escape("one"), env, cwd }),
          Effect.timeoutOption(SystemCommand.run({ command: "sleep", args: ["1000"], env }), 1),
          interruptedOnceEscaped({ script: `${escape("two")}; touch escaped; sleep 1000`, env, cwd }),
          Effect.flip(SystemCommand.run({ command: "no-such-command-of-holdfast", env })),
          Effect.flip(SystemCommand.run({ command: "/etc", env })),
          Effect.flip(SystemCommand.run({ command: "true", args: ["\0"], env }))
        ], { discard: true })
        yield* commands
        const before = footprint()
        yield* Effect.repeatN(commands, 5).pipe(Effect.supervised(fibers))
        yield* eventually(() => isNoMore(footprint(), before)).pipe(Effect.timeoutOption("5 seconds"))
        expect(footprint()).toSatisfy((after: Footprint) => isNoMore(after, before), JSON.stringify(before))
        expect(yield* fibers.value).toEqual([])
        expect(markedPids(marker)).toHaveLength(2 * 7)
      }))
  })
})

/** Starts a process that leaves the group with the pipes, and goes on once it has left. */
const escape = (name: string) =>
  `rm -f ${name}; setsid sh -c 'touch ${name}; exec sleep 1000' & until [ -e ${name} ]; do sleep 0.01; done`

/** Interrupts a script that holds pipes open from outside its group. */
const interruptedOnceEscaped = (options: SystemCommand.ShellOptions & { readonly cwd: string }) =>
  Effect.gen(function*() {
    const escaped = Path.join(options.cwd, "escaped")
    FileSystem.rmSync(escaped, { force: true })
    const running = yield* Effect.fork(SystemCommand.shell(options))
    yield* eventually(() => FileSystem.existsSync(escaped))
    yield* Fiber.interrupt(running)
  })

type Footprint = ReturnType<typeof footprint>

/** What a leak would make grow: open files, handles of processes and pipes, listeners on this process, children. */
const footprint = () => ({
  descriptors: FileSystem.readdirSync("/proc/self/fd").length,
  handles:
    Process.getActiveResourcesInfo().filter((kind) => kind === "ProcessWrap" || kind === "PipeWrap").length,
  listeners: Process.eventNames().reduce((sum, name) => sum + Process.listenerCount(name), 0),
  children: readIfPresent(`/proc/self/task/${Process.pid}/children`).split(" ").length
})

const isNoMore = (after: Footprint, before: Footprint): boolean =>
  after.descriptors <= before.descriptors && after.handles <= before.handles &&
  after.listeners <= before.listeners && after.children <= before.children
