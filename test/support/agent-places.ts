import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import { eventually } from "./command-processes.ts"
import type { Holdfast, Place } from "./holdfast.ts"
import { place, rows } from "./holdfast.ts"
import { packedPackages } from "./packed-packages.ts"

/**
 * Counters in a module as users write it.
 *
 * `Await` says `awaiting` and changes the state when there is a file `go`; `Hold` says `holding` and never ends.
 */
const app = `
import * as Rpc from "@effect/rpc/Rpc"
import * as Agent from "@holdfast/agents/Agent"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"

const add = (agent, by) => agent.update(({ count }) => ({ count: count + by }))

const say = (what) => Effect.sync(() => fs.appendFileSync("said", what + "\\n"))

const Counter = Agent.make("Counter", {
  protocol: [
    Rpc.make("Increment", { payload: { by: Schema.Int } }),
    Rpc.make("Await"),
    Rpc.make("Hold"),
    Rpc.make("Crash")
  ],
  state: Schema.Struct({ count: Schema.Int }),
  initial: { count: 0 },
  supervision: { maxRestarts: 2, period: "1 minute" }
})

export const layer = Counter.toLayer({
  Increment: ({ by }, agent) => add(agent, by),
  Await: (_, agent) => Effect.gen(function*() {
    yield* say("awaiting")
    while (!fs.existsSync("go")) yield* Effect.sleep(20)
    yield* add(agent, 100)
  }),
  Hold: () => Effect.zipRight(say("holding"), Effect.never),
  Crash: () => Effect.die("a bug")
})
`

let modules: string | null = null

/** Removes what places share. */
export const removeShared = (): void => {
  if (modules !== null) FileSystem.rmSync(modules.replace(/node_modules$/, ""), { recursive: true })
}

/** A place with a project of JavaScript modules, whose packages are installed as they are packed, and `app.js` in it. */
export const project = Effect.map(place, (at) => {
  modules ??= packedPackages()
  FileSystem.symlinkSync(modules, at.file("node_modules"))
  at.write("package.json", `{"type":"module"}`)
  at.write("app.js", app)
  return at
})

/** Starts `holdfast run` and waits until it hosts. */
export const hosting = (at: Place, module = "app.js"): Effect.Effect<Holdfast> =>
  Effect.gen(function*() {
    const running = at.start(["run", module])
    yield* eventually(() => running.stderr().includes(" hosts "))
    return running
  })

/** The count that a counter has committed; `null` when there is none. */
export const countOf = (at: Place, id: string): number | null => {
  const sql = `SELECT state FROM agent_states WHERE type = 'Counter' AND id = '${id}'`
  const [row] = rows<{ readonly state: string }>(at, sql)
  return row === undefined ? null : JSON.parse(row.state).count
}

/** How many messages wait for a counter. */
export const waiting = (at: Place, id: string): number =>
  rows(at, `SELECT 1 FROM agent_messages WHERE type = 'Counter' AND id = '${id}'`).length
