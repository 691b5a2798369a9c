/**
 * A vote lets named voters, in any processes on a record store, agree on one of several choices by quorum.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as RecordCollection from "./RecordCollection.ts"
import { RecordStore } from "./RecordStore.ts"
import type { StorageError } from "./StorageError.ts"

/**
 * Is a ballot: who may vote, and how many equal votes decide.
 *
 * `quorum`: more than half of the voters and at most all, so that no two choices can win; a majority by default.
 */
export interface Ballot {
  readonly name: string
  readonly voters: ReadonlyArray<string>
  readonly quorum?: number
}

/** Is how a ballot stands. */
export type Standing =
  | { readonly _tag: "Open"; readonly votes: Readonly<Record<string, string>> }
  | { readonly _tag: "Decided"; readonly choice: string; readonly votes: Readonly<Record<string, string>> }
  | { readonly _tag: "Undecidable"; readonly votes: Readonly<Record<string, string>> }

/** The voter had voted for something else; the first vote stands. */
export class AlreadyVoted
  extends Schema.TaggedError<AlreadyVoted>("@holdfast/core/AlreadyVoted")("AlreadyVoted", {
    ballot: Schema.String,
    voter: Schema.String,
    choice: Schema.String
  })
{
  override get message(): string {
    return `${this.voter} has voted for ${this.choice} in ballot ${this.ballot}`
  }
}

/** The voter is not on the ballot. */
export class NotAVoter extends Schema.TaggedError<NotAVoter>("@holdfast/core/NotAVoter")("NotAVoter", {
  ballot: Schema.String,
  voter: Schema.String
}) {
  override get message(): string {
    return `${this.voter} is not a voter of ballot ${this.ballot}`
  }
}

/** The ballot was not decided in time; votes that come later still count. */
export class VoteTimeout
  extends Schema.TaggedError<VoteTimeout>("@holdfast/core/VoteTimeout")("VoteTimeout", {
    ballot: Schema.String,
    waitedMillis: Schema.Number
  })
{
  override get message(): string {
    return `ballot ${this.ballot} was not decided within ${this.waitedMillis} ms`
  }
}

/** The votes were split so that no choice can reach the quorum any more. */
export class VoteSplit extends Schema.TaggedError<VoteSplit>("@holdfast/core/VoteSplit")("VoteSplit", {
  ballot: Schema.String,
  votes: Schema.Record({ key: Schema.String, value: Schema.String })
}) {
  override get message(): string {
    return `no choice of ballot ${this.ballot} can reach the quorum any more`
  }
}

/** Votes; the same vote again changes nothing. */
export const cast = (
  ballot: Ballot,
  voter: string,
  choice: string
): Effect.Effect<Standing, AlreadyVoted | NotAVoter | StorageError, RecordStore> =>
  Effect.gen(function*() {
    check(ballot)
    if (!ballot.voters.includes(voter)) return yield* new NotAVoter({ ballot: ballot.name, voter })
    const votes = yield* ballots.modify(ballot.name, (entry) => addVote(votesIn(entry), voter, choice))
    const voted = votes[voter] ?? choice
    if (voted !== choice) return yield* new AlreadyVoted({ ballot: ballot.name, voter, choice: voted })
    return standing(ballot, votes)
  })

/** Reads how a ballot stands. */
export const read = (ballot: Ballot): Effect.Effect<Standing, StorageError, RecordStore> =>
  Effect.suspend(() => {
    check(ballot)
    return Effect.map(ballots.get(ballot.name), (entry) => standing(ballot, votesIn(entry)))
  })

/** Waits for the choice that wins; for ever where there is no `timeout`. */
export const decision = (
  ballot: Ballot,
  options: { readonly timeout?: Duration.DurationInput } = {}
): Effect.Effect<string, StorageError | VoteSplit | VoteTimeout, RecordStore> => {
  const decided = Effect.scoped(awaitDecision(ballot))
  const { timeout } = options
  if (timeout === undefined) return decided
  const onTimeout = () => new VoteTimeout({ ballot: ballot.name, waitedMillis: Duration.toMillis(timeout) })
  return Effect.timeoutFail(decided, { duration: timeout, onTimeout })
}

/** Forgets a ballot and its votes. */
export const forget = (name: string): Effect.Effect<void, StorageError, RecordStore> =>
  ballots.modify(name, () => ({ answer: undefined, next: Option.none() }))

/** Says how a ballot stands by its votes. */
export const standing = (ballot: Ballot, votes: Readonly<Record<string, string>>): Standing => {
  const counts = new Map<string, number>()
  for (const choice of Object.values(votes)) counts.set(choice, (counts.get(choice) ?? 0) + 1)
  const quorum = quorumOf(ballot)
  const winner = Array.from(counts).find(([, count]) => count >= quorum)
  if (winner !== undefined) return { _tag: "Decided", choice: winner[0], votes }
  const outstanding = ballot.voters.length - Object.keys(votes).length
  const most = Math.max(0, ...counts.values())
  return most + outstanding >= quorum ? { _tag: "Open", votes } : { _tag: "Undecidable", votes }
}

// internal

const Votes = Schema.Struct({ votes: Schema.Record({ key: Schema.String, value: Schema.String }) })
type Votes = typeof Votes.Type

const ballots = RecordCollection.make("coordination/ballots", Votes)

const votersMax = 1_000

const quorumOf = ({ quorum, voters }: Ballot): number => quorum ?? Math.floor(voters.length / 2) + 1

const check = (ballot: Ballot): void => {
  const { voters } = ballot
  const quorum = quorumOf(ballot)
  if (voters.length < 1 || voters.length > votersMax || new Set(voters).size < voters.length) {
    throw new Error(`Ballot ${ballot.name} needs 1 to ${votersMax} voters, each named once: ${voters.length}`)
  }
  if (!Number.isInteger(quorum) || quorum * 2 <= voters.length || quorum > voters.length) {
    throw new Error(
      `The quorum of ballot ${ballot.name} must be more than half of its ${voters.length} voters: ${quorum}`
    )
  }
}

const votesIn = (entry: Option.Option<RecordCollection.Entry<Votes>>): Votes["votes"] =>
  Option.match(entry, { onNone: () => ({}), onSome: ({ value }) => value.votes })

const addVote = (
  votes: Votes["votes"],
  voter: string,
  choice: string
): RecordCollection.Modification<Votes, Votes["votes"]> => {
  if (Object.hasOwn(votes, voter)) return { answer: votes }
  const next = { ...votes, [voter]: choice }
  return { answer: next, next: Option.some({ votes: next }) }
}

const awaitDecision = (ballot: Ballot) =>
  Effect.gen(function*() {
    const store = yield* RecordStore
    const changed = yield* store.subscribe(ballots.name)
    let stands = yield* read(ballot)
    while (stands._tag === "Open") {
      yield* changed
      stands = yield* read(ballot)
    }
    if (stands._tag === "Decided") return stands.choice
    return yield* new VoteSplit({ ballot: ballot.name, votes: stands.votes })
  })
