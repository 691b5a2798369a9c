// Runs /bin/true so many times, so many at a time (two), capturing what it writes: what a Node program does at the least.
import { spawn } from "node:child_process"

let left = Number(process.argv[2])

const next = () => {
  if (left === 0) return
  left -= 1
  const child = spawn("/bin/true", [], { detached: true, stdio: ["ignore", "pipe", "pipe"] })
  child.stdout.resume()
  child.stderr.resume()
  child.on("close", next)
}

for (let slot = 0; slot < Number(process.argv[3] ?? 2); slot++) next()
