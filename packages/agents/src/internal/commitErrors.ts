/**
 * Commit errors are how a commit fails that no handler has to do with, and what the sender of the message hears of it.
 */
import { StorageError } from "@holdfast/core/StorageError"
import type { AgentAddress } from "../AgentAddress.ts"
import { AgentElsewhere, AgentParked, CommitRefused } from "../AgentError.ts"
import { AgentSuperseded, DuplicateKey, MessageGone } from "../AgentOperation.ts"
import { StateTooNew } from "../AgentState.ts"
import { LaneFailed, NodeFenced, OperationRejected, TransactionTimeout } from "../CommitLog.ts"

const refusals = [
  StorageError,
  NodeFenced,
  LaneFailed,
  OperationRejected,
  TransactionTimeout,
  AgentSuperseded,
  DuplicateKey,
  MessageGone
] as const

/** Is such a failure. */
export type CommitFailure = InstanceType<(typeof refusals)[number]>

/** Whether it is the log's failure; what is not is the user's own. */
export const isCommitError = (failure: unknown): failure is CommitFailure =>
  refusals.some((refusal) => failure instanceof refusal)

/** What a sender hears. */
export const commitRefused = (
  address: AgentAddress,
  failure: unknown
): StorageError | CommitRefused =>
  failure instanceof StorageError
    ? failure
    : new CommitRefused({ address, detail: isCommitError(failure) ? failure.message : String(failure) })

/** Whether an activation was refused for the agent's own sake. */
export const isAgentRefusal = (failure: unknown): failure is AgentElsewhere | AgentParked | StateTooNew =>
  failure instanceof AgentElsewhere || failure instanceof AgentParked || failure instanceof StateTooNew
