/**
 * The audit: the list of packages, the durable batch over it, the report of its results.
 */
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import type { EventEmitter } from "node:events"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { toCsv } from "./csv.ts"
import { headline, toMarkdown } from "./markdown.ts"
import { findPackages, type Package, toJsonLines } from "./packages.ts"
import { buildReport, type Report } from "./report.ts"
import { readResults } from "./results.ts"

/**
 * Where an audit takes place: the repository, the directory of all it writes, the `holdfast` script and the
 * script that inspects one package; how it speaks, and who tells it to stop.
 */
export interface Setting {
  readonly root: string
  readonly out: string
  readonly holdfast: string
  readonly inspect: string
  readonly print: (line: string) => void
  readonly signals: EventEmitter
  /** Whether a terminal sends Ctrl-C to the batch as well. */
  readonly terminal: boolean
}

/**
 * Audits the packages of a repository and answers with the exit code of the batch: 0 done, 1 some packages
 * could not be inspected, 130 interrupted (the same again continues), anything else without a report.
 */
export const audit = async (setting: Setting): Promise<number> => {
  Fs.mkdirSync(setting.out, { recursive: true })
  const { packages, unnamed } = findPackages(setting.root)
  for (const path of unnamed) setting.print(`Left out, no name and version: ${path}`)
  if (packages.length === 0) {
    setting.print(`No packages in ${Path.join(setting.root, "node_modules")}: install them first.`)
    return 2
  }
  const list = toJsonLines(packages)
  writeAtomically(Path.join(setting.out, files.packages), list)
  const code = await run(setting, batchArguments(setting, list))
  const isFinished = (code === 0 || code === 1) && Fs.existsSync(Path.join(setting.out, files.results))
  if (isFinished) return report(setting, packages) ? code : 1
  setting.print(
    code === 130
      ? "Interrupted. Run the same command again to continue."
      : `The batch ended with exit code ${code}: no report was written.`
  )
  return code || 1
}

/**
 * Names the batch after its list and its command: another list is another batch, the same one continues.
 */
export const batchName = (list: string, command: ReadonlyArray<string>): string => {
  const hash = Crypto.createHash("sha256").update(JSON.stringify(command)).update(list).digest("hex")
  return `dependency-audit-${hash.slice(0, 8)}`
}

// internal

const files = {
  packages: "packages.jsonl",
  database: "audit.db",
  results: "results.jsonl",
  failed: "failed.jsonl",
  markdown: "report.md",
  csv: "report.csv"
}

const inspection = ({ root, inspect }: Setting): ReadonlyArray<string> => [
  process.execPath,
  Path.relative(root, inspect),
  "--path",
  "{path}"
]

const batchArguments = (setting: Setting, list: string): ReadonlyArray<string> => {
  const command = inspection(setting)
  const at = (file: string) => Path.relative(setting.root, Path.join(setting.out, file))
  const options = {
    name: batchName(list, command),
    db: at(files.database),
    out: at(files.results),
    failed: at(files.failed)
  }
  const flags = Object.entries(options).flatMap(([option, value]) => [`--${option}`, value])
  return [setting.holdfast, "batch", at(files.packages), ...flags, "--", ...command]
}

const run = ({ root, signals, terminal }: Setting, args: ReadonlyArray<string>): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = ChildProcess.spawn(process.execPath, args, { cwd: root, stdio: "inherit" })
    // A terminal signals the whole process group, and a second SIGINT would tell the batch to stop at once.
    const interrupt = () => terminal || child.kill("SIGINT")
    const terminate = () => child.kill("SIGTERM")
    const leave = () => signals.off("SIGINT", interrupt).off("SIGTERM", terminate)
    signals.on("SIGINT", interrupt).on("SIGTERM", terminate)
    child.once("error", (error) => {
      leave()
      reject(error)
    })
    child.once("exit", (code, signal) => {
      leave()
      resolve(code ?? 128 + Os.constants.signals[signal ?? "SIGKILL"])
    })
  })

/** Answers whether every package has exactly one result. */
const report = ({ out, print }: Setting, packages: ReadonlyArray<Package>): boolean => {
  const results = readResults(files.results, Fs.readFileSync(Path.join(out, files.results), "utf8"))
  const built: Report = buildReport(packages, results)
  writeAtomically(Path.join(out, files.markdown), toMarkdown(built))
  writeAtomically(Path.join(out, files.csv), toCsv(built))
  for (const problem of built.problems) print(problem)
  print(`${headline(built)}.`)
  print(`Report: ${Path.join(out, files.markdown)} and ${files.csv}`)
  return built.failures.length + built.problems.length === 0
}

const writeAtomically = (file: string, content: string) => {
  const temporary = `${file}.${process.pid}.tmp`
  Fs.writeFileSync(temporary, content)
  Fs.renameSync(temporary, file)
}
