import type { Overflow } from "@holdfast/core/Router"

/** What happens to a recipient. `end`: how its handler ends with what it has in hand; `interrupt`: a sender who waits. */
export type Step =
  | { readonly _tag: "send" | "post" }
  | { readonly _tag: "end"; readonly how: "ok" | "fail" | "die" }
  | { readonly _tag: "interrupt"; readonly sender: number }

/** What is predicted: where each message is, and what each sender was told, by message. */
export interface State {
  readonly inHand: number | undefined
  readonly buffer: ReadonlyArray<number>
  readonly waiting: ReadonlyArray<number>
  /** Senders that have not been told yet. */
  readonly senders: ReadonlyArray<number>
  readonly told: Readonly<Record<number, string>>
  readonly handled: ReadonlyArray<number>
  readonly letters: ReadonlyArray<string>
  readonly sent: ReadonlyArray<"send" | "post">
  readonly delivered: number
  readonly dropped: number
  readonly refused: number
  readonly failed: number
  readonly crashes: number
  readonly gone: boolean
}

export const initial: State = {
  inHand: undefined,
  buffer: [],
  waiting: [],
  senders: [],
  told: {},
  handled: [],
  letters: [],
  sent: [],
  delivered: 0,
  dropped: 0,
  refused: 0,
  failed: 0,
  crashes: 0,
  gone: false
}

/** Whether the step can happen; one that cannot is left out. */
export const applies = (state: State, step: Step): boolean =>
  step._tag === "end"
    ? state.inHand !== undefined
    : step._tag !== "interrupt" || state.senders.length > 0

/** Who is interrupted. */
export const interrupted = (state: State, sender: number): number =>
  state.senders[sender % state.senders.length] ?? -1

/** What the recipient does, told without fibers. */
export const predict = (overflow: Overflow, capacity: number, state: State, step: Step): State => {
  switch (step._tag) {
    case "send":
    case "post":
      return arrive(overflow, capacity, state, step._tag)
    case "end":
      return end(state, step.how)
    case "interrupt": {
      const who = interrupted(state, step.sender)
      return tell({ ...state, waiting: state.waiting.filter((id) => id !== who) }, who, "interrupted")
    }
  }
}

const tell = (state: State, id: number, what: string): State =>
  state.senders.includes(id)
    ? {
      ...state,
      senders: state.senders.filter((sender) => sender !== id),
      told: { ...state.told, [id]: what }
    }
    : state

const tellAccepted = (state: State, id: number): State =>
  state.sent[id] === "post" ? tell(state, id, "ok") : state

const bury = (state: State, id: number, reason: string): State => ({
  ...state,
  letters: [...state.letters, `${id} ${reason}`]
})

const arrive = (overflow: Overflow, capacity: number, before: State, how: "send" | "post"): State => {
  const id = before.sent.length
  const state = { ...before, sent: [...before.sent, how], senders: [...before.senders, id] }
  if (state.gone) return tell(state, id, "RecipientNotFound")
  if (state.inHand === undefined) {
    return tellAccepted({ ...state, inHand: id, handled: [...state.handled, id] }, id)
  }
  if (state.buffer.length < capacity) return tellAccepted({ ...state, buffer: [...state.buffer, id] }, id)
  const [oldest = -1, ...others] = state.buffer
  const dropped = { ...state, dropped: state.dropped + 1 }
  switch (overflow) {
    case "dropOldest":
      return bury(
        tell(tellAccepted({ ...dropped, buffer: [...others, id] }, id), oldest, "MessageDropped"),
        oldest,
        "dropped"
      )
    case "dropNewest":
      return bury(tell(dropped, id, "MessageDropped"), id, "dropped")
    case "reject":
      return tell({ ...state, refused: state.refused + 1 }, id, "BufferFull")
    case "backpressure":
      return { ...state, waiting: [...state.waiting, id] }
  }
}

const end = (state: State, how: "ok" | "fail" | "die"): State => {
  const id = state.inHand ?? -1
  if (how === "ok") return next(tell({ ...state, delivered: state.delivered + 1 }, id, "ok"))
  const failed = { ...state, failed: state.failed + 1 }
  if (how === "fail") return next(bury(tell(failed, id, "DeliveryFailed"), id, "failed"))
  const crashed = bury(tell({ ...failed, crashes: state.crashes + 1 }, id, "RecipientCrashed"), id, "crashed")
  return crashed.crashes > 3 ? leave(crashed) : next(crashed)
}

const next = (state: State): State => {
  const [inHand, ...left] = state.buffer
  const [admitted, ...waiting] = state.waiting
  const handled = inHand === undefined ? state.handled : [...state.handled, inHand]
  const moved = { ...state, inHand, handled, buffer: left }
  return admitted === undefined
    ? moved
    : tellAccepted({ ...moved, buffer: [...left, admitted], waiting }, admitted)
}

const leave = (state: State): State => {
  const { buffer, waiting } = state
  const told = [...buffer, ...waiting].reduce((told, id) => tell(told, id, "RecipientGone"), state)
  const buried = buffer.reduce((buried, id) => bury(buried, id, "gone"), told)
  return { ...buried, inHand: undefined, buffer: [], waiting: [], gone: true }
}
