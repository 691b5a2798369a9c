/**
 * Commands per second: `holdfast batch` beside `xargs -P`, GNU parallel with a job log, and a bare Node loop of `spawn`,
 * each running `/bin/true` once per input line, two and sixteen at a time.
 */
import { spawn, spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Contestant } from "./Measure.ts"

const count = 3_000
const holdfast = fileURLToPath(new URL("../packages/cli/bin/holdfast.js", import.meta.url))
const loop = fileURLToPath(new URL("spawn-loop.js", import.meta.url))

/** The contestants; GNU parallel takes part where it is installed. */
export const contestants = (directory: string): ReadonlyArray<Contestant> => {
  const input = `${directory}/input.txt`
  writeFileSync(input, Array.from({ length: count }, (_, index) => `${index}\n`).join(""))
  let runs = 0
  const script = (name: string, text: () => string): Contestant => ({
    name,
    run: () => execute("/bin/sh", ["-c", text()])
  })
  const batch = (file: string, concurrency = 2): Promise<number> =>
    execute(process.execPath, [
      holdfast,
      "batch",
      input,
      "--db",
      file,
      "--concurrency",
      String(concurrency),
      "--",
      "/bin/true"
    ])
  const parallel = (jobs: number) =>
    `parallel --will-cite -j${jobs} --joblog ${directory}/joblog-${runs++} /bin/true {} < ${input}`
  return [
    { name: "holdfast batch", run: () => batch(`${directory}/batch-${runs++}.db`) },
    {
      name: "holdfast batch, beside two `tasks list --json` a second",
      run: async () => {
        const file = `${directory}/batch-${runs++}.db`
        const listing = setInterval(
          () =>
            spawn(process.execPath, [holdfast, "tasks", "list", "--json", "--db", file], { stdio: "ignore" }),
          500
        )
        try {
          return await batch(file)
        } finally {
          clearInterval(listing)
        }
      }
    },
    { name: "holdfast batch, 16 at a time", run: () => batch(`${directory}/batch-${runs++}.db`, 16) },
    { name: "bare Node spawn loop", run: () => bareLoop(2) },
    { name: "bare Node spawn loop, 16 at a time", run: () => bareLoop(16) },
    script("xargs -P2", () => `xargs -n1 -P2 /bin/true < ${input}`),
    ...(spawnSync("parallel", ["--version"]).status === 0
      ? [
        script("GNU parallel -j2 with a job log", () => parallel(2)),
        script("GNU parallel -j16 with a job log", () => parallel(16))
      ]
      : [])
  ]
}

const bareLoop = (concurrency: number): Promise<number> =>
  execute(process.execPath, [loop, String(count), String(concurrency)])

const execute = (command: string, args: ReadonlyArray<string>): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] })
    let errors = ""
    child.stderr.on("data", (text) => (errors += text))
    child.on("error", reject)
    child.on(
      "close",
      (code) => (code === 0 ? resolve(count) : reject(new Error(`${command} ended with ${code}: ${errors}`)))
    )
  })
