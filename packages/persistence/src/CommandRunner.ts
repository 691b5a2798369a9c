/**
 * The command runner of a node carries out the commands that guests left in the database.
 */
import type { CommitError } from "@holdfast/agents/CommitLog"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
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
  Effect.gen(function*() {
    const commands = yield* reader.read("commands", () => Command.pending(pendingLimit))
    yield* Effect.forEach(commands, ({ command, id }) =>
      Effect.matchEffect(decode(command), {
        onFailure: () => Effect.logDebug(`command ${id} is not known to this version`),
        onSuccess: (known) => carryOut(log, id, known, 0)
      }), { discard: true })
  })

const decode = Schema.decode(Command.Command)

/** What is more than one batch is done in parts; only the last part settles the command. */
const carryOut = (
  log: SqlCommitLog,
  id: string,
  command: Command.Command,
  before: number
): Effect.Effect<void, CommitError> =>
  Effect.gen(function*() {
    const nowMillis = yield* Clock.currentTimeMillis
    const part = TaskOperation.retryTasks({ ...command, limit: Command.retryLimit, nowMillis })
    const [changed] = yield* log.port.commit([part])
    if (command.id === null && changed === Command.retryLimit) {
      return yield* carryOut(log, id, command, before + changed)
    }
    yield* log.port.commit([Command.carryOut({ id, command, before: before + changed, nowMillis })])
  })
