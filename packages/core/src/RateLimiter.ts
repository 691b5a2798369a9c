/**
 * A limit on how often something may start: a token bucket that is exact under concurrency. Those
 * who may not start yet either wait in line or are refused.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { monotonicMillis } from "./internal/monotonicMillis.ts"
import * as TokenBucket from "./TokenBucket.ts"

/** So many starts per interval. */
export interface Rate {
  /** Tokens per interval, a whole number from 1 to 1,000,000. */
  readonly limit: number
  /** Whole milliseconds, from 1 millisecond to 1 day. */
  readonly interval: Duration.DurationInput
}

/** A rate, and how much of it may come at once. */
export interface Options extends Rate {
  /**
   * How many tokens the bucket holds, a whole number from 1 to 1,000,000: after a quiet time so many may
   * start at once, and any window admits at most this above the rate. Default: `limit`. 1 spaces starts evenly.
   */
  readonly burst?: number
}

/** A running limit. */
export interface RateLimiter {
  readonly name: string
  /**
   * Takes `cost` tokens (1), waiting in line for them: first come, first served, whatever the costs. A waiter
   * takes nothing before it is let through; one that is interrupted leaves the line, and the others move up.
   */
  readonly wait: WithCost<never>
  /**
   * Takes `cost` tokens (1) if they are there and nobody who waits in line needs them, else fails with
   * `RateLimited`.
   */
  readonly reject: WithCost<RateLimited>
}

/** An operation that takes one token unless told how many; only then can the number be wrong. */
export interface WithCost<E> {
  (): Effect.Effect<void, E>
  (cost: number): Effect.Effect<void, E | CostOutOfRange>
}

/** The limit is reached. After `retryAfter` a place is free, if nobody else takes it first. */
export class RateLimited
  extends Schema.TaggedError<RateLimited>("@holdfast/core/RateLimited")("RateLimited", {
    limiter: Schema.String,
    limit: Schema.Number,
    interval: Schema.Duration,
    retryAfter: Schema.Duration
  })
{
  override get message(): string {
    const rate = `${this.limit} per ${Duration.format(this.interval)}`
    return `rate limit "${this.limiter}" (${rate}) is reached: try again in ${
      Duration.format(this.retryAfter)
    }`
  }
}

/** A cost that no bucket of this size can ever pay. Raise `burst`, or split the work. */
export class CostOutOfRange extends Schema.TaggedError<CostOutOfRange>("@holdfast/core/CostOutOfRange")(
  "CostOutOfRange",
  { limiter: Schema.String, cost: Schema.Number, burst: Schema.Number }
) {
  override get message(): string {
    return `rate limit "${this.limiter}": a cost must be a whole number from 1 to ${this.burst} (its burst), not ${this.cost}`
  }
}

/** A limit that cannot be kept: one of its options is outside its bounds. */
export class RateOutOfRange extends Schema.TaggedError<RateOutOfRange>("@holdfast/core/RateOutOfRange")(
  "RateOutOfRange",
  {
    limiter: Schema.String,
    option: Schema.Literal("limit", "interval", "burst"),
    value: Schema.Number,
    maximum: Schema.Number
  }
) {
  override get message(): string {
    const unit = this.option === "interval" ? " of milliseconds" : ""
    return `rate limit "${this.limiter}": ${this.option} must be a whole number${unit} ` +
      `from 1 to ${this.maximum}, not ${this.value}`
  }
}

/** A text that is not a rate. Write a number, a slash and a unit: `20/s`. */
export class UnreadableRate extends Schema.TaggedError<UnreadableRate>("@holdfast/core/UnreadableRate")(
  "UnreadableRate",
  { input: Schema.String }
) {
  override get message(): string {
    return `"${this.input}" is not a rate: write a whole number from 1 to ${limitMax}, a slash, ` +
      "and s, m or h for second, minute or hour, as in 20/s, 100/m or 5/h"
  }
}

/** The highest `limit` and the highest `burst`. */
export const limitMax = 1_000_000

/** The longest `interval`. */
export const intervalMax = Duration.days(1)

/**
 * Makes a limiter. It owns no fiber and no timer of its own: the first in line sleeps until its turn,
 * the others wait for the one before them.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as RateLimiter from "@holdfast/core/RateLimiter"
 *
 * declare const send: (to: string) => Effect.Effect<void>
 *
 * const program = Effect.gen(function*() {
 *   const limiter = yield* RateLimiter.make("mail", { limit: 20, interval: "1 second", burst: 1 })
 *   yield* Effect.forEach(["ann", "bob"], (to) => Effect.zipRight(limiter.wait(), send(to)), {
 *     concurrency: "unbounded"
 *   })
 * })
 */
export const make = (name: string, options: Options): Effect.Effect<RateLimiter, RateOutOfRange> =>
  Effect.map(configOf(name, options), (config) => {
    const line: Line = { name, config, bucket: TokenBucket.full, waiters: new Set(), owed: 0 }
    return {
      name,
      wait: withCost(line, (cost) => waitInLine(line, cost)),
      reject: withCost(line, (cost) => takeOrReject(line, cost))
    }
  })

/**
 * Reads a rate such as `20/s`, `100/m` or `5/h`.
 *
 * @example
 * import * as RateLimiter from "@holdfast/core/RateLimiter"
 *
 * RateLimiter.parseRate("100/m") // Right({ limit: 100, interval: 1 minute })
 * RateLimiter.parseRate("fast")  // Left(UnreadableRate)
 */
export const parseRate = (input: string): Either.Either<Rate, UnreadableRate> => {
  const [, digits, unit] = /^(\d{1,7})\/([smh])$/.exec(input.trim()) ?? []
  const limit = Number(digits)
  const interval = intervals.get(unit ?? "")
  return interval !== undefined && limit >= 1 && limit <= limitMax
    ? Either.right({ limit, interval })
    : Either.left(new UnreadableRate({ input }))
}

const intervals = new Map([["s", Duration.seconds(1)], ["m", Duration.minutes(1)], ["h", Duration.hours(1)]])

const configOf = (name: string, options: Options): Either.Either<TokenBucket.Config, RateOutOfRange> => {
  const whole = (option: RateOutOfRange["option"], value: number, maximum: number) =>
    Number.isInteger(value) && value >= 1 && value <= maximum
      ? Either.right(value)
      : Either.left(new RateOutOfRange({ limiter: name, option, value, maximum }))
  return Either.all({
    limit: whole("limit", options.limit, limitMax),
    intervalMillis: whole("interval", Duration.toMillis(options.interval), Duration.toMillis(intervalMax)),
    burst: whole("burst", options.burst ?? options.limit, limitMax)
  })
}

interface Line {
  readonly name: string
  readonly config: TokenBucket.Config
  bucket: TokenBucket.State
  /** In order of arrival; bounded by the number of fibers that wait. */
  readonly waiters: Set<Waiter>
  /** What all waiters together have yet to take. */
  owed: number
}

interface Waiter {
  readonly cost: number
  readonly turn: Effect.Latch
}

const withCost = <E>(line: Line, take: (cost: number) => Effect.Effect<void, E>): WithCost<E> => {
  const { burst } = line.config
  function costed(): Effect.Effect<void, E>
  function costed(cost: number): Effect.Effect<void, E | CostOutOfRange>
  function costed(cost = 1): Effect.Effect<void, E | CostOutOfRange> {
    return Number.isInteger(cost) && cost >= 1 && cost <= burst
      ? take(cost)
      : new CostOutOfRange({ limiter: line.name, cost, burst })
  }
  return costed
}

const waitInLine = (line: Line, cost: number): Effect.Effect<void> =>
  Effect.clockWith((clock) =>
    line.waiters.size === 0 && take(line, clock, cost) === 0
      ? Effect.void
      : Effect.uninterruptibleMask((restore) =>
        Effect.suspend(() => {
          const waiter = join(line, cost)
          const pause = (effect: Effect.Effect<void>): Effect.Effect<void> =>
            Effect.onInterrupt(restore(effect), () => Effect.sync(() => leave(line, waiter)))
          return Effect.zipRight(pause(waiter.turn.await), takeWhenPossible(line, waiter, pause))
        })
      )
  )

/**
 * Takes the tokens and leaves the line in one step that nothing can interrupt. It looks again after each sleep: a timer
 * may fire early, and none is longer than `sleepMillisMax`.
 */
const takeWhenPossible = (
  line: Line,
  waiter: Waiter,
  pause: (effect: Effect.Effect<void>) => Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.clockWith((clock) => {
    const waitMillis = take(line, clock, waiter.cost)
    if (waitMillis > 0) {
      const sleep = Effect.sleep(Math.min(waitMillis, sleepMillisMax))
      return Effect.zipRight(pause(sleep), takeWhenPossible(line, waiter, pause))
    }
    leave(line, waiter)
    return Effect.void
  })

const sleepMillisMax = 2 ** 31 - 1

const takeOrReject = (line: Line, cost: number): Effect.Effect<void, RateLimited> =>
  Effect.clockWith((clock) => {
    const { limit, intervalMillis } = line.config
    const ahead = TokenBucket.take(line.config, line.bucket, monotonicMillis(clock), line.owed + cost)
    if (ahead.waitMillis === 0) {
      take(line, clock, cost)
      return Effect.void
    }
    return new RateLimited({
      limiter: line.name,
      limit,
      interval: Duration.millis(intervalMillis),
      retryAfter: Duration.millis(ahead.waitMillis)
    })
  })

const take = (line: Line, clock: Clock.Clock, cost: number): number => {
  const { state, waitMillis } = TokenBucket.take(line.config, line.bucket, monotonicMillis(clock), cost)
  line.bucket = state
  return waitMillis
}

const join = (line: Line, cost: number): Waiter => {
  const waiter: Waiter = { cost, turn: Effect.unsafeMakeLatch(line.waiters.size === 0) }
  line.waiters.add(waiter)
  line.owed += cost
  return waiter
}

const leave = (line: Line, waiter: Waiter): void => {
  line.waiters.delete(waiter)
  line.owed -= waiter.cost
  const [next] = line.waiters
  next?.turn.unsafeOpen()
}
