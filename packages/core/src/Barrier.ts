/**
 * A barrier holds back a number of parties, in any processes on a record store, until all have arrived.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as RecordCollection from "./RecordCollection.ts"
import { RecordStore } from "./RecordStore.ts"
import type { StorageError } from "./StorageError.ts"

/** How long an arrival outlives a party that died: 10 seconds. */
export const ttlDefault: Duration.Duration = Duration.seconds(10)

/**
 * Says which barrier, and for how many.
 *
 * `parties`: a natural number from 1 to 1,000, the same for all. `timeout`: how long to wait; for ever by default. `ttl`:
 * how long an arrival counts after its process died; 10 s by default. The clocks of machines have to agree within it.
 */
export interface BarrierOptions {
  readonly name: string
  readonly parties: number
  readonly timeout?: Duration.DurationInput
  readonly ttl?: Duration.DurationInput
}

/** Not all parties came in time; this one does not count any more. */
export class BarrierTimeout extends Schema.TaggedError<BarrierTimeout>("@holdfast/core/BarrierTimeout")(
  "BarrierTimeout",
  { name: Schema.String, parties: Schema.Number, waitedMillis: Schema.Number }
) {
  override get message(): string {
    return `not all ${this.parties} parties of barrier ${this.name} arrived within ${this.waitedMillis} ms`
  }
}

/** Parties of one round named different numbers of parties. Remedy: let all name the same. */
export class BarrierMismatch extends Schema.TaggedError<BarrierMismatch>("@holdfast/core/BarrierMismatch")(
  "BarrierMismatch",
  { name: Schema.String, parties: Schema.Number, expected: Schema.Number }
) {
  override get message(): string {
    return `barrier ${this.name} waits for ${this.expected} parties, not for ${this.parties}`
  }
}

/** The most parties a barrier may have: 1,000. */
export const partiesMax = 1_000

/**
 * Waits until all parties have arrived, and answers the round, counted from 1; the next arrival begins the next round.
 *
 * A party that is interrupted, times out, or dies no longer counts.
 *
 * **Source** `java.util.concurrent.CyclicBarrier`, without its breaking: who leaves does not end the others' wait.
 */
export const arrive = (
  options: BarrierOptions
): Effect.Effect<number, BarrierMismatch | BarrierTimeout | StorageError, RecordStore> =>
  Effect.suspend(() => {
    const { name, timeout } = options
    const parties = checkedParties(options.parties)
    const round = Effect.scoped(wait(name, parties, Duration.toMillis(options.ttl ?? ttlDefault)))
    if (timeout === undefined) return round
    const waitedMillis = Duration.toMillis(timeout)
    const onTimeout = () => new BarrierTimeout({ name, parties, waitedMillis })
    return Effect.timeoutFail(round, { duration: timeout, onTimeout })
  })

// internal

const State = Schema.Struct({
  round: Schema.Number,
  parties: Schema.Number,
  arrivals: Schema.Array(Schema.Struct({ party: Schema.String, untilMillis: Schema.Number }))
})
type State = typeof State.Type

const barriers = RecordCollection.make("coordination/barriers", State)

const checkedParties = (parties: number): number => {
  if (!Number.isInteger(parties) || parties < 1 || parties > partiesMax) {
    throw new Error(`A barrier needs a whole number of parties from 1 to ${partiesMax}: ${parties}`)
  }
  return parties
}

const wait = (name: string, parties: number, ttlMillis: number) =>
  Effect.gen(function*() {
    const store = yield* RecordStore
    const changed = yield* store.subscribe(barriers.name)
    const party = (yield* Random.nextIntBetween(0, 2 ** 48)).toString(36)
    const come = (round: number | null) =>
      Effect.flatMap(
        Clock.currentTimeMillis,
        (now) =>
          barriers.modify(
            name,
            (entry) => comeTo(entryState(entry), { party, round, parties, ttlMillis, now })
          )
      )
    yield* Effect.addFinalizer(() => leave(name, party))
    let answer = yield* come(null)
    while (answer._tag === "Waiting") {
      yield* Effect.raceFirst(changed, Effect.sleep(Math.ceil(ttlMillis / 3)))
      answer = yield* come(answer.round)
    }
    if (answer._tag === "Passed") return answer.round
    return yield* new BarrierMismatch({ name, parties, expected: answer.expected })
  })

/** A party that arrives, or waits in a round, at a time. */
interface Coming {
  readonly party: string
  readonly round: number | null
  readonly parties: number
  readonly ttlMillis: number
  readonly now: number
}

type Answer =
  | { readonly _tag: "Waiting"; readonly round: number }
  | { readonly _tag: "Passed"; readonly round: number }
  | { readonly _tag: "Mismatch"; readonly expected: number }

const entryState = (entry: Option.Option<RecordCollection.Entry<State>>): State =>
  Option.match(entry, {
    onNone: () => ({ round: 0, parties: 0, arrivals: [] }),
    onSome: ({ value }) => value
  })

const comeTo = (state: State, coming: Coming): RecordCollection.Modification<State, Answer> => {
  const { now, parties, party, ttlMillis } = coming
  const round = coming.round ?? state.round
  if (state.round > round) return { answer: { _tag: "Passed", round: round + 1 } }
  const alive = state.arrivals.filter((arrival) => arrival.untilMillis > now)
  const others = alive.filter((arrival) => arrival.party !== party)
  if (others.length > 0 && state.parties !== parties) {
    return { answer: { _tag: "Mismatch", expected: state.parties } }
  }
  if (others.length + 1 >= parties) {
    return {
      answer: { _tag: "Passed", round: round + 1 },
      next: Option.some({ round: round + 1, parties, arrivals: [] })
    }
  }
  const answer: Answer = { _tag: "Waiting", round }
  const own = state.arrivals.find((arrival) => arrival.party === party)
  const isFresh = own !== undefined && own.untilMillis - now > ttlMillis / 2
  if (isFresh && alive.length === state.arrivals.length) return { answer }
  const arrivals = [...others, { party, untilMillis: now + ttlMillis }]
  return { answer, next: Option.some({ round, parties, arrivals }) }
}

/** Nobody waits for who left; storage that fails forgets the arrival when its time is over. */
const leave = (name: string, party: string): Effect.Effect<void, never, RecordStore> =>
  barriers.modify(name, (entry) => {
    const state = entryState(entry)
    const arrivals = state.arrivals.filter((arrival) => arrival.party !== party)
    if (arrivals.length === state.arrivals.length) return { answer: undefined }
    return { answer: undefined, next: Option.some({ ...state, arrivals }) }
  }).pipe(
    Effect.catchTag(
      "StorageError",
      (error) => Effect.logWarning(`Barrier ${name} not left: ${error.message}`)
    )
  )
