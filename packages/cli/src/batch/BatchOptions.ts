/**
 * The options of `holdfast batch`, checked and read from the command line.
 */
import type * as RateLimiter from "@holdfast/core/RateLimiter"
import type * as Duration from "effect/Duration"
import type { CommandLine } from "./Identity.ts"

/** What a batch is run with. */
export interface BatchOptions {
  readonly db: string
  /** A file, or `-` for stdin. */
  readonly tasks: string
  readonly command: CommandLine
  readonly name: string | null
  readonly concurrency: number
  readonly rate: RateLimiter.Rate | null
  readonly retries: number
  readonly timeout: Duration.Duration | null
  readonly failFast: boolean
  /** The share of failures, from 0 to 1, at which the batch pauses. */
  readonly breaker: number | null
  readonly priority: string | null
  readonly out: string | null
  readonly failed: string | null
  readonly restart: boolean
  readonly json: boolean
}
