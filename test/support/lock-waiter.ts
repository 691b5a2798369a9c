import * as LeaderElection from "@holdfast/core/LeaderElection"
import * as Lease from "@holdfast/core/Lease"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import Process from "node:process"

/** `lock-waiter.ts FILE`: leads an election of the store, and writes a line when elected and one when it ceased to be. */
const [filename = ""] = Process.argv.slice(2)

const leading = LeaderElection.lead({ name: "test", ttl: "1 second" }, ({ token }) =>
  Effect.onInterrupt(
    Effect.zipRight(Console.log(`elected ${token}`), Effect.never),
    () => Console.log(`lost ${token}`)
  ))

await Effect.runPromise(
  Effect.provide(leading, Layer.provide(Lease.layer, Sqlite.layer({ filename })))
)
