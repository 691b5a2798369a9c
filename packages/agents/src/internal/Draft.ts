/**
 * A draft is what one message does to its agent and wants to happen besides, before any of it is committed.
 */
import type * as Effect from "effect/Effect"
import type { EntryChange } from "../AgentOperation.ts"
import type { NewMessage } from "../AgentRecord.ts"
import type { EnqueueTasks } from "../TaskOperation.ts"
import type { HandlerFailure } from "./HandlerFailure.ts"

/** Is a message to be told; its delay counts from the commit. */
export interface DraftedTell extends Omit<NewMessage, "notBeforeMillis"> {
  readonly delayMillis: number
}

/** Is what a message wants to happen besides. */
interface Effects {
  readonly tells: Array<DraftedTell>
  /** Of agents whose messages live in memory only. */
  readonly volatileTells: Array<() => void>
  readonly tasks: Array<EnqueueTasks>
  readonly onCommit: Array<Effect.Effect<unknown, HandlerFailure>>
  /** By collection and key, the last change of each. */
  readonly entries: Map<string, EntryChange>
}

/** Collects what a handler does. */
export class Draft {
  /** The state that the message found. */
  readonly found: unknown
  state: unknown
  /** Most messages want nothing besides. */
  #effects: Effects | null = null

  constructor(found: unknown) {
    this.found = found
    this.state = found
  }

  /** What it wants besides; `null` where that is nothing. */
  get wanted(): Effects | null {
    return this.#effects
  }

  /** What it wants besides, to add to it. */
  get effects(): Effects {
    return this.#effects ??= { tells: [], volatileTells: [], tasks: [], onCommit: [], entries: new Map() }
  }

  /** Whether the state is another one. One that was set to an equal value is, too; an untouched one is not. */
  get isChanged(): boolean {
    return this.state !== this.found
  }

  /** Whether there is anything to commit but the state. */
  get hasEffects(): boolean {
    const { wanted } = this
    return wanted !== null && (wanted.tells.length > 0 || wanted.entries.size > 0 || this.isRefusable)
  }

  /** Whether what it commits can be refused for itself: nothing may then be drafted from it before it is committed. */
  get isRefusable(): boolean {
    const { wanted } = this
    return wanted !== null && (wanted.tasks.length > 0 || wanted.onCommit.length > 0)
  }

  /** The messages, as of the time of the commit. */
  tellsAt(nowMillis: number): ReadonlyArray<NewMessage> {
    if (this.wanted === null) return []
    return this.wanted.tells.map(({ delayMillis, ...message }) =>
      delayMillis > 0 ? { ...message, notBeforeMillis: nowMillis + delayMillis } : message
    )
  }
}
