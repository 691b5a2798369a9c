/**
 * Beliefs are the worlds that may be the case, given what agents have answered: more than one where an answer was lost.
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { AgentAddress } from "../../AgentAddress.ts"
import * as AgentAddresses from "../../AgentAddress.ts"
import { AgentCrashed } from "../../AgentError.ts"
import type { Modelled } from "../../testing/AgentModel.ts"
import * as rendered from "./rendered.ts"
import type { Answer, Models, Sent, World } from "./World.ts"
import * as Worlds from "./World.ts"

/** Says that something is the case in none of the worlds. */
export class Mismatch extends Data.TaggedError("Mismatch")<{
  readonly subject: string
  readonly expected: string
  readonly found: string
}> {}

/** Starts out with the world in which nothing has happened. */
export class Beliefs {
  readonly models: Models
  #worlds: ReadonlyArray<World> = [Worlds.empty]

  constructor(models: Models) {
    this.models = models
  }

  /** Keeps the worlds in which that is the answer. One who was disturbed may answer that he crashed, and did nothing. */
  answered(sent: Sent, answer: Answer, isDisturbed: boolean): Effect.Effect<void, Mismatch> {
    return Effect.gen(this, function*() {
      const model = this.models.get(sent.to.type) as Modelled
      const found = yield* rendered.answer(model, sent, answer)
      const kept = isDisturbed && isCrash(answer) ? [...this.#worlds] : []
      const expected = new Set<string>()
      for (const before of this.#worlds) {
        const after = yield* Worlds.send(this.models, before, sent)
        const said = yield* rendered.answer(model, sent, after.answer)
        expected.add(said)
        if (said === found && !kept.includes(after.world)) kept.push(after.world)
      }
      if (kept.length === 0) {
        const subject = `the answer of ${AgentAddresses.render(sent.to)} to ${sent.rpc}`
        return yield* new Mismatch({ subject, expected: either(expected), found: found + detailOf(answer) })
      }
      this.#worlds = kept
    })
  }

  /** These were taken, and are handled in time. */
  taken(sent: Sent): Effect.Effect<void> {
    return Effect.map(this.#after(this.#worlds, sent), (worlds) => {
      this.#worlds = worlds
    })
  }

  /** Nobody knows how many of these were handled; those that were are the first. */
  lost(messages: ReadonlyArray<Sent>): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      let after = this.#worlds
      for (const sent of messages) {
        after = yield* this.#after(after, sent)
        this.#worlds = [...this.#worlds, ...after]
      }
    })
  }

  /** Whether one of these may meet a bug. */
  mayCrash(messages: ReadonlyArray<Sent>): Effect.Effect<boolean> {
    return Effect.gen(this, function*() {
      let worlds = this.#worlds
      for (const sent of messages) {
        const steps = yield* Effect.forEach(worlds, (world) => Worlds.send(this.models, world, sent))
        if (steps.some(({ answer }) => Exit.isFailure(answer) && Cause.isDie(answer.cause))) return true
        worlds = steps.map(({ world }) => world)
      }
      return false
    })
  }

  /** Keeps the worlds in which that is the agent's state. */
  became(model: Modelled, address: AgentAddress, state: unknown): Effect.Effect<void, Mismatch> {
    return Effect.suspend(() => {
      const found = rendered.state(model, address, state)
      const agrees = model.agrees ?? ((said: unknown) => rendered.state(model, address, said) === found)
      const said = this.#worlds.map((world) => Worlds.stateOf(world, model, address))
      const kept = this.#worlds.filter((_, index) => agrees(said[index], state))
      if (kept.length === 0) {
        const subject = `the state of ${AgentAddresses.render(address)}`
        const expected = either(new Set(said.map((model_) => rendered.modelled(model, address, model_))))
        return new Mismatch({ subject, expected, found })
      }
      this.#worlds = kept
      return Effect.void
    })
  }

  /** The agents that messages have changed. */
  get changed(): ReadonlyArray<AgentAddress> {
    return this.#worlds.flatMap(({ states }) =>
      Array.from(states.keys(), (name) => {
        const slash = name.indexOf("/")
        return AgentAddresses.make(name.slice(0, slash), name.slice(slash + 1))
      })
    )
  }

  #after(worlds: ReadonlyArray<World>, sent: Sent): Effect.Effect<ReadonlyArray<World>> {
    return Effect.forEach(
      worlds,
      (world) => Effect.map(Worlds.send(this.models, world, sent), (after) => after.world)
    )
  }
}

/** Whether the answer is that the agent crashed. */
export const isCrash = (answer: Answer | null): boolean => crashOf(answer) !== null

// internal

const crashOf = (answer: Answer | null): AgentCrashed | null =>
  answer?._tag === "Failure" && answer.cause._tag === "Fail" && answer.cause.error instanceof AgentCrashed
    ? answer.cause.error
    : null

const detailOf = (answer: Answer): string => {
  const crash = crashOf(answer)
  return crash === null ? "" : ` (${crash.detail})`
}

const either = (expected: ReadonlySet<string>): string => Array.from(expected).join(", or ")
