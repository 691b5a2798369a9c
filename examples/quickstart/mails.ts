import * as TaskQueue from "@holdfast/agents/TaskQueue"
import * as TaskWorkers from "@holdfast/agents/TaskWorkers"
import * as Backoff from "@holdfast/core/Backoff"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

class Bounced extends Schema.TaggedError<Bounced>()("Bounced", { to: Schema.String }) {}

const Mails = TaskQueue.make("mails", {
  payload: Schema.Struct({ to: Schema.String }),
  error: Bounced,
  attemptsMax: 2,
  backoff: Backoff.immediate
})

const send = ({ to }: { readonly to: string }) =>
  to.includes("@") ? Console.log(`sent to ${to}`) : Effect.fail(new Bounced({ to }))

const program = Effect.scoped(Effect.gen(function*() {
  // The address is the task's id: run it again, kill it anywhere, and each mail is still one task.
  const items = ["ann@example.org", "bob@example.org", "carol"].map((to) => ({ id: to, payload: { to } }))
  yield* TaskQueue.enqueueAll(Mails, items)

  const workers = yield* TaskWorkers.make(Mails, send, { concurrency: 4, until: "drained" })
  yield* workers.await

  const { counts } = yield* TaskQueue.stats("mails")
  yield* Console.log(`${counts.completed} sent, ${counts.dead} given up`)
}))

Effect.runPromise(Effect.provide(program, Sqlite.layer({ filename: "mails.db" })))
