import * as FileLock from "@holdfast/persistence/FileLock"
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import Process from "node:process"

/**
 * `hold FILE` takes a lock, says whether it did, and stays.
 *
 * `own DIRECTORY ROUNDS` makes that many locks, says how many it got and how many were removed under it, and leaves a
 * file `done`. `sweep DIRECTORY` proves every lock free that it can until then, and says how many.
 */
const [mode, at = "", rounds = "0"] = Process.argv.slice(2)

const hold = () => {
  const lock = FileLock.tryAcquire(at)
  Process.stdout.write(lock === null ? "refused\n" : "held\n")
  return Effect.runPromise(Effect.as(Effect.never, lock))
}

const own = () => {
  let held = 0
  let removed = 0
  for (let round = 0; round < Number(rounds); round++) {
    const file = Path.join(at, `lock-${round}`)
    const lock = FileLock.tryAcquire(file)
    if (lock === null) continue
    held += 1
    // A sweeper has the time of a few system calls to find it.
    for (let look = 0; look < 5; look++) FileSystem.readdirSync(at)
    if (!FileSystem.existsSync(file)) removed += 1
    lock.release()
  }
  FileSystem.writeFileSync(Path.join(at, "done"), "")
  Process.stdout.write(`${JSON.stringify({ held, removed })}\n`)
}

const sweep = () => {
  let swept = 0
  while (!FileSystem.existsSync(Path.join(at, "done"))) {
    for (const name of FileSystem.readdirSync(at).filter((name) => name.startsWith("lock-"))) {
      const proof = FileLock.proveFree(Path.join(at, name))
      if (proof !== null) swept += 1
      proof?.release()
    }
  }
  Process.stdout.write(`${JSON.stringify({ swept })}\n`)
}

if (mode === "hold") await hold()
else if (mode === "own") own()
else sweep()
