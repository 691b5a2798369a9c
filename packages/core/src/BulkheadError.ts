/**
 * How a bulkhead refuses: it is full, it took too long, or it cannot be made.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

/** Every permit is taken and the line is full. Try later, or wait without a bound with `protectWhenReady`. */
export class BulkheadFull
  extends Schema.TaggedError<BulkheadFull>("@holdfast/core/BulkheadFull")("BulkheadFull", {
    pool: Schema.String,
    concurrency: Schema.Number,
    queue: Schema.Number
  })
{
  override get message(): string {
    return `pool "${this.pool}" is full: ${this.concurrency} may run and ${this.queue} may wait`
  }
}

/** No permit came free while the call might wait. Nothing of it ran: try later. */
export class BulkheadTimeout
  extends Schema.TaggedError<BulkheadTimeout>("@holdfast/core/BulkheadTimeout")("BulkheadTimeout", {
    pool: Schema.String,
    queueTimeout: Schema.Duration
  })
{
  override get message(): string {
    return `pool "${this.pool}" had no permit free within ${Duration.format(this.queueTimeout)}`
  }
}

/** The task ran longer than it might and was interrupted. Give it more time, or less to do. */
export class TaskTimedOut
  extends Schema.TaggedError<TaskTimedOut>("@holdfast/core/TaskTimedOut")("TaskTimedOut", {
    pool: Schema.String,
    timeout: Schema.Duration
  })
{
  override get message(): string {
    return `a task of pool "${this.pool}" took longer than ${Duration.format(this.timeout)}`
  }
}

/** A pool that cannot be made: one of its options is outside its bounds. */
export class BulkheadOutOfRange
  extends Schema.TaggedError<BulkheadOutOfRange>("@holdfast/core/BulkheadOutOfRange")("BulkheadOutOfRange", {
    pool: Schema.String,
    option: Schema.Literal("concurrency", "queue", "queueTimeout"),
    value: Schema.Number,
    minimum: Schema.Number,
    maximum: Schema.Number
  })
{
  override get message(): string {
    const unit = this.option === "queueTimeout" ? " of milliseconds" : ""
    return `pool "${this.pool}": ${this.option} must be a whole number${unit} ` +
      `from ${this.minimum} to ${this.maximum}, not ${this.value}`
  }
}
