/**
 * The command of the example: `run.js [FILE]`. Three people meet in a room and talk; then the last to come reads what she
 * has heard, in this run and in those before it.
 */
import * as AgentRuntime from "@holdfast/agents/AgentRuntime"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Crypto from "node:crypto"
import { settled } from "../support/settled.ts"
import { layer, Member, Room } from "./room.ts"

const [filename = "chat-room.db"] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const lobby = (yield* Room.client)("lobby")
  const carol = (yield* Member.client)("carol")
  const say = (from: string, text: string) => lobby.Say({ id: Crypto.randomUUID(), from, text })

  yield* lobby.Join({ member: "ann" })
  yield* lobby.Join({ member: "bob" })
  yield* say("ann", "hello, Bob")
  yield* lobby.Join({ member: "carol" })
  yield* Effect.all([say("bob", "hello, both"), say("carol", "hello, all")], { concurrency: 2 })
  yield* settled
  return yield* carol.Read({ room: "lobby" })
})

const agents = layer.pipe(
  Layer.provideMerge(AgentRuntime.layer),
  Layer.provideMerge(Sqlite.layer({ filename }))
)

for (const { from, number, text } of await Effect.runPromise(Effect.provide(program, agents))) {
  process.stdout.write(`${number} ${from}: ${text}\n`)
}
