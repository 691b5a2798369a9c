/**
 * The arithmetic of a token bucket, without time or waiting: who may take how much when.
 *
 * A bucket holds at most `burst` tokens and is refilled with `limit` tokens per interval, evenly. In any
 * window of time, what was taken is at most the rate times the window, plus `burst`.
 *
 * **Source** ITU-T I.371, the generic cell rate algorithm in its leaky-bucket form.
 */

/** How fast a bucket fills and how much it holds. All fields are whole numbers, at least 1. */
export interface Config {
  readonly limit: number
  readonly intervalMillis: number
  readonly burst: number
}

/**
 * A bucket at a moment. `debt` is what is missing from a full bucket, in tokens x `intervalMillis`: one
 * millisecond pays off `limit` of it, so that every figure stays a whole number and no fraction is ever lost.
 */
export interface State {
  readonly debt: number
  readonly atMillis: number
}

/** What became of a request: taken when `waitMillis` is 0, else nothing was taken and it is worth asking again then. */
export interface Decision {
  readonly state: State
  readonly waitMillis: number
}

/** A full bucket. */
export const full: State = { debt: 0, atMillis: 0 }

/** Takes `cost` tokens when they are there, or says how long until they will be. */
export const take = (config: Config, state: State, nowMillis: number, cost: number): Decision => {
  const current = refill(config, state, nowMillis)
  const debt = current.debt + cost * config.intervalMillis
  const overdraft = debt - config.burst * config.intervalMillis
  return overdraft > 0
    ? { state: current, waitMillis: Math.ceil(overdraft / config.limit) }
    : { state: { ...current, debt }, waitMillis: 0 }
}

const refill = (config: Config, state: State, nowMillis: number): State => {
  const elapsedMillis = Math.max(0, nowMillis - state.atMillis)
  return {
    debt: Math.max(0, state.debt - elapsedMillis * config.limit),
    atMillis: Math.max(state.atMillis, nowMillis)
  }
}
