/**
 * `npm run bench [NAME...]`: prints tables and writes `bench/out/results.json`; run whole, also `docs/benchmarks.md`.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { availableParallelism, cpus, tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as agentMemory from "./agent-memory.ts"
import * as agents from "./agents.ts"
import * as batch from "./batch.ts"
import * as commitLog from "./commit-log.ts"
import type { Contestant, Figure } from "./Measure.ts"
import { race, ratio } from "./Measure.ts"
import * as scheduler from "./scheduler.ts"
import * as supervision from "./supervision.ts"
import * as taskAgents from "./task-agents.ts"
import * as tasks from "./tasks.ts"

interface Bench {
  readonly title: string
  readonly unit: string
  readonly contestants: (directory: string) => ReadonlyArray<Contestant>
  /** Our contestant, its peer, and the ratio we want at the least. */
  readonly wanted: ReadonlyArray<readonly [string, string, number]>
}

const benches: Readonly<Record<string, Bench>> = {
  "commit-log": {
    title: "Commit log: task rows written",
    unit: "rows/s",
    contestants: commitLog.contestants,
    wanted: [["commit log, 1024 producers, 1 row per unit", "@effect/sql, statement by statement", 5]]
  },
  tasks: {
    title: "Tasks claimed, run and settled",
    unit: "tasks/s",
    contestants: tasks.contestants,
    wanted: []
  },
  supervision: {
    title: "Supervised children beside bare fibers",
    unit: "children/s",
    contestants: supervision.contestants,
    wanted: [
      ["supervised child, start + stop", "forkScoped, start + stop", 0.33],
      ["supervised children, together", "forkScoped, together", 0.33],
      ["supervised child, crash", "forkScoped, crash", 0.33]
    ]
  },
  scheduler: {
    title: "Timers registered and cancelled",
    unit: "timers/s",
    contestants: scheduler.contestants,
    wanted: [["scheduler, 100,000 one-shots", "a sleeping fiber each, 100,000", 1]]
  },
  agents: {
    title: "Messages to agents, 128 in flight where nothing else is said",
    unit: "messages/s",
    contestants: agents.contestants,
    wanted: [
      ["volatile ask", "bare Queue and Deferred", 0.8],
      ["durable ask, 100 agents", "cluster entity, persisted, 100 entities", 8],
      ["1 ms of work a message, durable", "1 ms of work a message, volatile", 0.95],
      ["read beside 1 MiB of state", "read beside a small state", 0.95]
    ]
  },
  "agent-memory": {
    title: "Heap of an agent that nobody needs at the moment",
    unit: "bytes",
    contestants: agentMemory.contestants,
    wanted: []
  },
  "task-agents": {
    title: "TaskAgents killed with a task in hand, counters back, task begun again",
    unit: "kills/s",
    contestants: taskAgents.contestants,
    wanted: []
  },
  batch: {
    title: "/bin/true per input line, two at a time where nothing else is said",
    unit: "commands/s",
    contestants: batch.contestants,
    wanted: [
      ["holdfast batch", "GNU parallel -j2 with a job log", 1],
      ["holdfast batch", "bare Node spawn loop", 0.8],
      ["holdfast batch, 16 at a time", "GNU parallel -j16 with a job log", 1],
      ["holdfast batch, 16 at a time", "bare Node spawn loop, 16 at a time", 0.8],
      ["holdfast batch, beside two `tasks list --json` a second", "holdfast batch", 0.9]
    ]
  }
}

const rounds = 5
const out = fileURLToPath(new URL("out/", import.meta.url))

const lines: Array<string> = []

const print = (line: string): void => {
  lines.push(line)
  process.stdout.write(`${line}\n`)
}

const run = async (bench: Bench): Promise<ReadonlyArray<Figure>> => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-bench-"))
  try {
    const figures = await race(rounds, bench.contestants(directory))
    const whole = (value: number) => Math.round(value).toLocaleString("en")
    print(`\n## ${bench.title}\n\n| | ${bench.unit} | least - most |\n|---|---:|---:|`)
    for (const { least, median, most, name } of figures) {
      print(`| ${name} | ${whole(median)} | ${whole(least)} - ${whole(most)} |`)
    }
    for (const [name, peer, least] of bench.wanted) {
      print(`\n${name} : ${peer} = ${ratio(figures, name, peer).toFixed(2)} (wanted: at least ${least})`)
    }
    return figures
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const wanted = process.argv.slice(2)
const results: Record<string, ReadonlyArray<Figure>> = {}
print(
  `Node ${process.version}, ${availableParallelism()} x ${
    cpus()[0]?.model ?? "unknown"
  }, medians of ${rounds} rounds in turn`
)
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length === 0 || wanted.includes(name)) results[name] = await run(bench)
}
mkdirSync(out, { recursive: true })
writeFileSync(join(out, "results.json"), `${JSON.stringify(results, null, 2)}\n`)
if (wanted.length === 0) {
  const report = [
    "# Benchmarks",
    "",
    "The output of `npm run bench`; figures of one run are comparable with each other only.",
    "",
    ...lines,
    ""
  ]
  writeFileSync(fileURLToPath(new URL("../docs/benchmarks.md", import.meta.url)), report.join("\n"))
}
