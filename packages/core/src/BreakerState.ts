/**
 * What a circuit breaker decides, without time or effects: its states, and the one function that
 * leads from each to the next.
 *
 *     closed    --too many failures, trip-->  open
 *     open      --open time is over, a call-> half-open
 *     half-open --enough successes----------> closed
 *     half-open --a failure, trip-----------> open
 *     any       --reset---------------------> closed
 */
import type { BreakerConfig } from "./BreakerConfig.ts"

/** How the outcome of a call counts. An `ignore` counts neither way. */
export type Outcome = "success" | "failure" | "ignore"

/** Calls go through and are counted. */
export interface Closed {
  readonly _tag: "Closed"
  readonly era: number
  readonly consecutiveFailures: number
  /** The last outcomes, oldest first, `true` for a failure: at most `window`, none without a failure rate. */
  readonly recent: ReadonlyArray<boolean>
  /** How many of `recent` are failures. */
  readonly failures: number
}

/** No call goes through until `untilMillis`; the first one after that makes it half-open. */
export interface Open {
  readonly _tag: "Open"
  readonly era: number
  readonly untilMillis: number
}

/** A few calls go through, to find out. */
export interface HalfOpen {
  readonly _tag: "HalfOpen"
  readonly era: number
  readonly probing: number
  readonly successes: number
}

/** Where a breaker is. `era` grows with every change of state; an outcome from an earlier era counts for nothing. */
export type State = Closed | Open | HalfOpen

/** What can happen to a breaker. */
export type Event =
  | { readonly _tag: "Call" }
  | { readonly _tag: "Outcome"; readonly era: number; readonly outcome: Outcome }
  | { readonly _tag: "Trip" }
  | { readonly _tag: "Reset" }

/** A breaker that has seen nothing yet. */
export const initial: Closed = { _tag: "Closed", era: 0, consecutiveFailures: 0, recent: [], failures: 0 }

/**
 * Says how long a call has to wait, in whole milliseconds: 0 when it may go now.
 *
 * While every probe of a half-open breaker is out, nobody knows; the answer is the open time, which is
 * what a probe that fails would cost.
 */
export const waitMillis = (config: BreakerConfig, state: State, nowMillis: number): number => {
  switch (state._tag) {
    case "Closed":
      return 0
    case "Open":
      return Math.max(0, Math.ceil(state.untilMillis - nowMillis))
    case "HalfOpen":
      return state.probing < config.probes ? 0 : config.openMillis
  }
}

/** Leads from one state to the next. A `Call` that has to wait changes nothing. */
export const transition = (config: BreakerConfig, state: State, event: Event, nowMillis: number): State => {
  switch (event._tag) {
    case "Call":
      return waitMillis(config, state, nowMillis) > 0 ? state : admit(state)
    case "Outcome":
      return event.era === state.era ? settle(config, state, event.outcome, nowMillis) : state
    case "Trip":
      return open(config, state, nowMillis)
    case "Reset":
      return close(state)
  }
}

const admit = (state: State): State => {
  switch (state._tag) {
    case "Closed":
      return state
    case "Open":
      return { _tag: "HalfOpen", era: state.era + 1, probing: 1, successes: 0 }
    case "HalfOpen":
      return { ...state, probing: state.probing + 1 }
  }
}

const settle = (config: BreakerConfig, state: State, outcome: Outcome, nowMillis: number): State => {
  switch (state._tag) {
    case "Closed":
      return outcome === "ignore" ? state : count(config, state, outcome === "failure", nowMillis)
    case "Open":
      return state
    case "HalfOpen": {
      if (outcome === "failure") return open(config, state, nowMillis)
      const successes = state.successes + (outcome === "success" ? 1 : 0)
      return successes >= config.successesToClose
        ? close(state)
        : { ...state, probing: state.probing - 1, successes }
    }
  }
}

const count = (config: BreakerConfig, state: Closed, failed: boolean, nowMillis: number): State => {
  const counted = { ...state, consecutiveFailures: failed ? state.consecutiveFailures + 1 : 0 }
  const next = config.failureRate === undefined ? counted : slide(counted, config.failureRate.window, failed)
  return failed && isTripped(config, next) ? open(config, state, nowMillis) : next
}

const slide = (state: Closed, window: number, failed: boolean): Closed => {
  const isFull = state.recent.length === window
  return {
    ...state,
    recent: [...(isFull ? state.recent.slice(1) : state.recent), failed],
    failures: state.failures + Number(failed) - Number(isFull && state.recent[0])
  }
}

const isTripped = ({ consecutiveFailures, failureRate }: BreakerConfig, state: Closed): boolean =>
  (consecutiveFailures !== undefined && state.consecutiveFailures >= consecutiveFailures) ||
  (failureRate !== undefined && state.recent.length >= failureRate.minimumCalls &&
    state.failures / state.recent.length >= failureRate.threshold)

const open = (config: BreakerConfig, state: State, nowMillis: number): State => ({
  _tag: "Open",
  era: state.era + 1,
  untilMillis: nowMillis + config.openMillis
})

const close = (state: State): State => ({ ...initial, era: state.era + 1 })
