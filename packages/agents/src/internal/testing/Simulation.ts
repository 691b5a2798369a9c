/**
 * A simulation performs a script on agents, from runtime to runtime over one storage, and compares them with their models.
 */
import type * as Rpc from "@effect/rpc/Rpc"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as AgentAddress from "../../AgentAddress.ts"
import { AgentRuntime } from "../../AgentRuntimeTag.ts"
import { AgentStore } from "../../AgentStore.ts"
import type { Modelled } from "../../testing/AgentModel.ts"
import type { Action, Disturbance, Script } from "../../testing/AgentScript.ts"
import * as AgentScript from "../../testing/AgentScript.ts"
import { ModelViolated } from "../../testing/ModelViolated.ts"
import { Beliefs, isCrash, Mismatch } from "./Beliefs.ts"
import type { Stuck } from "./VirtualClock.ts"
import { turns, VirtualClock } from "./VirtualClock.ts"
import type { Answer, Sent } from "./World.ts"
import { keyOf } from "./World.ts"

/** Is what a simulation goes on with: a runtime, and the storage under it. */
export type Ports = AgentRuntime | AgentStore

/** Makes a simulation in which nothing has happened. The first of the models is that of the agents of the script. */
export class Simulation {
  readonly clock = new VirtualClock()
  /** Where the process was ended. */
  crash: string | null = null
  readonly #beliefs: Beliefs
  readonly #name: string
  readonly #script: Script<Rpc.Any>
  readonly #sent: Array<Sent> = []
  #next = 0
  #isActing = false
  /** The messages on their way. */
  #pending: ReadonlyArray<Sent> = []
  /** Come in as the agents answer. */
  #answers: Array<Answer | null> = []
  #isDisturbed = false

  constructor(models: readonly [Modelled, ...ReadonlyArray<Modelled>], script: Script<Rpc.Any>) {
    this.#beliefs = new Beliefs(new Map(models.map((model) => [model.definition.name, model])))
    this.#name = models[0].definition.name
    this.#script = script
  }

  /** Performs the script up to where another runtime is to go on; says whether one is. */
  get perform(): Effect.Effect<boolean, ModelViolated, Ports> {
    return this.#reported(Effect.gen(this, function*() {
      yield* this.#settle
      for (let action = this.#script[this.#next]; action !== undefined; action = this.#script[this.#next]) {
        this.#isActing = true
        yield* this.#act(action)
        yield* this.#settle
        this.#acted()
        if (action._tag === "Reopen") return true
      }
      return false
    }))
  }

  /** Goes on after a crash: what got no answer was handled, or was not; what has a key is asked again. */
  get recover(): Effect.Effect<void, ModelViolated, Ports> {
    return this.#reported(Effect.gen(this, function*() {
      const lost = yield* this.#judge
      yield* this.#settle
      for (const sent of lost) {
        if (keyOf(this.#beliefs.models, sent) !== null) yield* this.#ask([sent], null)
      }
      yield* this.#settle
      this.#acted()
    }))
  }

  #acted(): void {
    if (this.#isActing) this.#next += 1
    this.#isActing = false
  }

  #act(action: Action<Rpc.Any>): Effect.Effect<void, Mismatch | Stuck, Ports> {
    switch (action._tag) {
      case "Ask":
        return this.#askAll(
          action.messages.map((message) => this.#toSent(action.id, message)),
          action.disturbance
        )
      case "Tell":
        return this.#tell(this.#toSent(action.id, action.message))
      case "Again": {
        const sent = this.#sent.at(-1 - (action.back % Math.max(1, this.#sent.length)))
        return sent === undefined ? Effect.void : this.#askAll([sent], null)
      }
      case "Reopen":
        return Effect.void
      default:
        return Effect.zipRight(
          this.clock.drive(intervene(action._tag, AgentAddress.make(this.#name, action.id))),
          this.#calm
        )
    }
  }

  #toSent(id: string, { payload, rpc }: { readonly rpc: string; readonly payload: unknown }): Sent {
    return { to: AgentAddress.make(this.#name, id), rpc, payload }
  }

  /** Those that meet a bug are asked one at a time, lest there are more restarts than the intensity allows. */
  #askAll(messages: ReadonlyArray<Sent>, disturbance: Disturbance | null) {
    return Effect.gen(this, function*() {
      this.#sent.push(...messages)
      const mayCrash = yield* this.#beliefs.mayCrash(messages)
      for (const burst of mayCrash ? messages.map((sent) => [sent]) : [messages]) {
        yield* this.#ask(burst, disturbance)
      }
    })
  }

  #ask(messages: ReadonlyArray<Sent>, disturbance: Disturbance | null) {
    return Effect.gen(this, function*() {
      const { send } = yield* AgentRuntime
      const answers: Array<Answer | null> = messages.map(() => null)
      this.#pending = messages
      this.#answers = answers
      this.#isDisturbed = disturbance !== null
      const asking = Effect.forEach(
        messages,
        ({ payload, rpc, to }, index) =>
          Effect.map(Effect.exit(send(to, rpc, payload as never)), (exit) => {
            answers[index] = exit
          }),
        { concurrency: "unbounded", discard: true }
      )
      yield* this.clock.drive(disturbance === null ? asking : disturbed(asking, messages, disturbance))
      yield* this.#judge
      if (disturbance !== null || answers.some(isCrash)) yield* this.#calm
    })
  }

  /** A message that meets a bug again and again is asked instead, since it would park its agent. */
  #tell(sent: Sent) {
    return Effect.gen(this, function*() {
      if (yield* this.#beliefs.mayCrash([sent])) return yield* this.#askAll([sent], null)
      const { tell } = yield* AgentRuntime
      this.#sent.push(sent)
      this.#pending = [sent]
      this.#answers = [null]
      yield* Effect.mapError(
        this.clock.drive(tell(sent.to, sent.rpc, sent.payload as never)),
        (error) =>
          error._tag === "Stuck" ? error : new Mismatch({
            subject: `a tell of ${sent.rpc}`,
            expected: "it is taken",
            found: error.message
          })
      )
      this.#pending = []
      yield* this.#beliefs.taken(sent)
    })
  }

  /** Believes the answers; yields what has none. */
  get #judge(): Effect.Effect<ReadonlyArray<Sent>, Mismatch> {
    return Effect.gen(this, function*() {
      const [pending, answers] = [this.#pending, this.#answers]
      this.#pending = []
      for (const [index, sent] of pending.entries()) {
        const answer = answers[index] ?? null
        if (answer !== null) yield* this.#beliefs.answered(sent, answer, this.#isDisturbed)
      }
      const lost = pending.filter((_, index) => (answers[index] ?? null) === null)
      yield* this.#beliefs.lost(lost)
      return lost
    })
  }

  /** Lets pass what the intensity of any of the agents remembers. */
  get #calm(): Effect.Effect<void> {
    const models = Array.from(this.#beliefs.models.values())
    const periods = models.map(({ definition }) => definition.supervision.periodMillis)
    return Effect.sync(() => this.clock.pass(Math.max(...periods) + 1))
  }

  /** Waits until everything that was told is done, and compares the states. */
  get #settle(): Effect.Effect<void, Mismatch, Ports> {
    return Effect.gen(this, function*() {
      const [{ list }, { counts }] = [yield* AgentRuntime, yield* AgentStore]
      const busy = Effect.map(Effect.orDie(Effect.all([list, counts])), ([live, stored]) => [
        ...live.filter(({ status, uncommitted }) => status !== "idle" || uncommitted > 0),
        ...stored.filter(({ messages }) => messages > 0)
      ])
      if (!(yield* this.clock.until(Effect.map(busy, ({ length }) => length === 0)))) {
        const found = JSON.stringify(yield* busy)
        return yield* new Mismatch({ subject: "what was told", expected: "it is handled in time", found })
      }
      yield* this.#compare
    })
  }

  get #compare(): Effect.Effect<void, Mismatch, Ports> {
    return Effect.gen(this, function*() {
      const [{ inspect }, { list }] = [yield* AgentRuntime, yield* AgentStore]
      const stored = yield* Effect.orDie(list({ limit: Number.MAX_SAFE_INTEGER }))
      const known = [...stored, ...this.#beliefs.changed].map(({ id, type }) => AgentAddress.make(type, id))
      for (
        const address of new Map(known.map((address) => [AgentAddress.render(address), address])).values()
      ) {
        const model = this.#beliefs.models.get(address.type)
        if (model === undefined) continue
        const read = yield* Effect.mapError(
          inspect(model.definition, address.id),
          ({ message }) =>
            new Mismatch({
              subject: `the state of ${AgentAddress.render(address)}`,
              expected: "it is read",
              found: message
            })
        )
        const state = Option.getOrNull(read)?.state ?? model.definition.initial(address.id)
        yield* this.#beliefs.became(model, address, state)
      }
    })
  }

  #reported<A, R>(effect: Effect.Effect<A, Mismatch | Stuck, R>): Effect.Effect<A, ModelViolated, R> {
    const stuck = { subject: "the action", expected: "it ends", found: "it never does" }
    return Effect.mapError(effect, (error) => {
      const { expected, found, subject } = error._tag === "Stuck" ? stuck : error
      return new ModelViolated({
        subject,
        expected,
        found,
        script: this.#script.slice(0, this.#next + 1).map(AgentScript.render),
        action: this.#next + 1,
        crash: this.crash,
        seed: null,
        path: null
      })
    })
  }
}

// internal

/** An agent that cannot be restarted or let go answers its next message with the reason. */
const intervene = (
  tag: "Kill" | "Restart" | "Stop",
  address: AgentAddress.AgentAddress
): Effect.Effect<void, never, AgentRuntime> =>
  Effect.flatMap(AgentRuntime, ({ kill, restart, stop }) => {
    switch (tag) {
      case "Kill":
        return Effect.asVoid(kill(address))
      case "Restart":
        return Effect.asVoid(Effect.either(restart(address)))
      case "Stop":
        return stop(address)
    }
  })

const disturbed = (
  asking: Effect.Effect<void>,
  [first]: ReadonlyArray<Sent>,
  { _tag, turns: count }: Disturbance
): Effect.Effect<void, never, AgentRuntime> =>
  Effect.gen(function*() {
    const asks = yield* Effect.fork(asking)
    yield* turns(count)
    if (_tag === "Interrupt") yield* Fiber.interrupt(asks)
    else if (first !== undefined) yield* intervene(_tag, first.to)
    yield* Fiber.await(asks)
  })
