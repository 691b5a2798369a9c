/**
 * `holdfast agents`: lists agents, shows one and its state, and what owns which.
 */
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import { render } from "@holdfast/agents/AgentAddress"
import { AgentStatus } from "@holdfast/agents/AgentRecord"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Address from "../agents/Address.ts"
import * as AgentTree from "../agents/AgentTree.ts"
import * as Rows from "../agents/Rows.ts"
import * as Failure from "../Failure.ts"
import { Output } from "../Output.ts"
import { table } from "../Table.ts"
import * as Tree from "../Tree.ts"
import { discard, park, restart, resume } from "./AgentCommands.ts"
import { tell } from "./AgentTell.ts"
import { db, json } from "./Shared.ts"

/** How many messages of an inbox are shown. */
const messagesShown = 10

const limit = (what: string, byDefault: number) =>
  Options.integer("limit").pipe(
    Options.withDefault(byDefault),
    Options.withDescription(`At most so many ${what}, ${byDefault} by default`)
  )

const requirePositive = (limit: number) =>
  limit < 1 ? Failure.usage("--limit must be at least 1") : Effect.void

const list = Command.make("list", {
  db,
  json,
  type: Options.text("type").pipe(
    Options.optional,
    Options.withDescription("Only agents of this type: the name of their definition")
  ),
  status: Options.choice("status", AgentStatus.literals).pipe(
    Options.optional,
    Options.withDescription("Only agents that are passive, live or parked")
  ),
  limit: limit("agents", 100),
  after: Options.text("after").pipe(
    Options.withPseudoName("TYPE/ID"),
    Options.optional,
    Options.withDescription("Go on behind this agent: the last one of the page before")
  )
}, (options) =>
  Effect.gen(function*() {
    yield* requirePositive(options.limit)
    const after = Option.isNone(options.after) ? null : yield* Address.parse(options.after.value)
    const agents = yield* Address.visiting(options.db, (guest) =>
      guest.agents.store.list({
        limit: options.limit,
        ...(after === null ? {} : { after }),
        ...(Option.isNone(options.type) ? {} : { type: options.type.value }),
        ...(Option.isNone(options.status) ? {} : { status: options.status.value })
      }))
    const output = yield* Output
    const lines = options.json
      ? agents.map((agent) => JSON.stringify(Rows.agentJson(agent)))
      : table(Rows.headings, agents.map(Rows.row))
    yield* Effect.forEach(lines, output.result, { discard: true })
    const last = agents.at(-1)
    if (agents.length === options.limit && last !== undefined && !options.json) {
      yield* output.say(`there may be more: add --after ${render(last)}`)
    }
  })).pipe(
    Command.withDescription(
      "Lists agents by type and id. Passive ones are rows that any node may activate. With --json, one object a line."
    )
  )

const show = Command.make(
  "show",
  { db, json, address: Address.address },
  (options) =>
    Effect.gen(function*() {
      const address = yield* Address.parse(options.address)
      const { agent, collections, inbox, messages } = yield* Address.visiting(options.db, ({ agents }) =>
        Effect.all({
          agent: agents.store.get(address),
          inbox: agents.inbox(address),
          messages: agents.store.inbox(address, 0, messagesShown),
          collections: agents.collections(address)
        }))
      if (Option.isNone(agent) && inbox.messages === 0) {
        return yield* Failure.conflict(`there is no agent ${render(address)}, and no message for one`)
      }
      const detail = {
        // One that was told something and never activated has no row yet.
        ...(Option.isSome(agent)
          ? Rows.agentJson(agent.value)
          : { ...address, status: "passive", commits: 0 }),
        collections: Object.fromEntries(collections.map(({ collection, entries }) => [collection, entries])),
        messages: inbox.messages,
        delayed: inbox.delayed,
        inbox: messages.map(Rows.messageJson)
      }
      const output = yield* Output
      yield* output.result(JSON.stringify(detail, null, options.json ? undefined : 2))
    })
).pipe(
  Command.withDescription(
    "Shows an agent: who owns it, why it is parked, its collections, and the first messages of its inbox."
  )
)

const state = Command.make(
  "state",
  { db, json, address: Address.address },
  (options) =>
    Effect.gen(function*() {
      const address = yield* Address.parse(options.address)
      const { state, stateVersion, version } = yield* Address.visiting(
        options.db,
        (guest) => Address.requireAgent(guest, address)
      )
      if (state === null) {
        return yield* Failure.conflict(
          `agent ${render(address)} has written no state yet: it is in its initial one`
        )
      }
      const output = yield* Output
      const value = Rows.parsed(state)
      if (options.json) {
        return yield* output.result(
          JSON.stringify({ ...address, stateVersion, commits: version, state: value })
        )
      }
      yield* output.say(`state of version ${stateVersion}, as of commit ${version}:`)
      yield* output.result(typeof value === "string" ? state : JSON.stringify(value, null, 2))
    })
).pipe(
  Command.withDescription("Prints the state that an agent committed last, as it is stored, and wakes nobody.")
)

const tree = Command.make(
  "tree",
  { db, json, limit: limit("agents of a type on a node", 20) },
  (options) =>
    Effect.gen(function*() {
      yield* requirePositive(options.limit)
      const forest = yield* Address.visiting(
        options.db,
        (guest) => AgentTree.read(guest, options.limit)
      )
      const output = yield* Output
      const lines = options.json ? [JSON.stringify(forest)] : AgentTree.toTrees(forest).flatMap(Tree.draw)
      yield* Effect.forEach(lines, output.result, { discard: true })
    })
).pipe(
  Command.withDescription("Shows the nodes, the agents that each owns by type, and those that no node owns.")
)

const description = HelpDoc.blocks([
  HelpDoc.p(
    "Lists, shows and commands agents, through the database alone: beside the nodes that run, or without any."
  ),
  HelpDoc.p("holdfast agents list --status parked"),
  HelpDoc.p("holdfast agents state Counter/c-1 --json"),
  HelpDoc.p("holdfast agents tell Counter/c-1 Increment '{\"by\":2}' --key order-7 --delay 10s"),
  HelpDoc.p("holdfast agents park Counter/c-1 --reason 'wrong rates' && holdfast agents resume Counter/c-1")
])

/** `holdfast agents`. */
export const agents = Command.make("agents").pipe(
  Command.withDescription(description),
  Command.withSubcommands([list, show, state, tell, restart, park, resume, discard, tree])
)
