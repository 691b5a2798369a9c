/**
 * The command runner of a node carries out the commands that guests left in the database.
 */
import type { CommitError } from "@holdfast/agents/CommitLog"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Command from "./Command.ts"
import type { SqlCommitLog } from "./SqlCommitLog.ts"
import type { SqliteReader } from "./SqliteReader.ts"

/** How many commands are read at once. */
const pendingLimit = 100

/** Carries out every pending command once. One this code does not know waits for a node that does. */
export const look = (log: SqlCommitLog, reader: SqliteReader): Effect.Effect<void, CommitError> =>
  lookBehind(log, reader, 0)

const lookBehind = (
  log: SqlCommitLog,
  reader: SqliteReader,
  after: number
): Effect.Effect<void, CommitError> =>
  Effect.gen(function*() {
    const commands = yield* reader.read("commands", () => Command.pending(after, pendingLimit))
    yield* Effect.forEach(commands, ({ command, id }) =>
      Effect.matchEffect(decode(command), {
        onFailure: () => Effect.logDebug(`command ${id} is not known to this version`),
        onSuccess: (known) => carryOut(log, id, known)
      }), { discard: true })
    const last = commands[pendingLimit - 1]
    if (last !== undefined) yield* lookBehind(log, reader, last.sequence)
  })

const decode = Schema.decode(Command.Command)

/** Ends: each round changes as many things as one batch may, and one that changes fewer is the last. */
const carryOut = (
  log: SqlCommitLog,
  id: string,
  command: Command.Command
): Effect.Effect<void, CommitError> =>
  Effect.gen(function*() {
    const nowMillis = yield* Clock.currentTimeMillis
    const [part] = yield* log.port.commit([Command.carryOut({ id, command, nowMillis })])
    if (part?.done === false) yield* carryOut(log, id, command)
  })
