/**
 * A child error says why a supervisor did not do what it was asked to do with a child.
 */
import * as Schema from "effect/Schema"

/** Says that the supervisor has a child of that id. Choose another, or terminate that child first. */
export class ChildAlreadyPresent
  extends Schema.TaggedError<ChildAlreadyPresent>("@holdfast/core/ChildAlreadyPresent")(
    "ChildAlreadyPresent",
    {
      supervisor: Schema.String,
      child: Schema.String
    }
  )
{
  override get message(): string {
    return `Supervisor "${this.supervisor}" already has a child "${this.child}"`
  }
}

/** Says that the supervisor has no child of that id: it never had, or the child has ended for good. */
export class ChildNotFound
  extends Schema.TaggedError<ChildNotFound>("@holdfast/core/ChildNotFound")("ChildNotFound", {
    supervisor: Schema.String,
    child: Schema.String
  })
{
  override get message(): string {
    return `Supervisor "${this.supervisor}" has no child "${this.child}"`
  }
}

/** Says that the supervisor has as many children as it may. Try again when one has ended, or raise `maxChildren`. */
export class MaxChildrenReached
  extends Schema.TaggedError<MaxChildrenReached>("@holdfast/core/MaxChildrenReached")("MaxChildrenReached", {
    supervisor: Schema.String,
    maxChildren: Schema.Number
  })
{
  override get message(): string {
    return `Supervisor "${this.supervisor}" has its ${this.maxChildren} children, as many as it may`
  }
}

/** Says that the scope of the supervisor has closed: it starts no child any more. */
export class SupervisorClosed
  extends Schema.TaggedError<SupervisorClosed>("@holdfast/core/SupervisorClosed")("SupervisorClosed", {
    supervisor: Schema.String
  })
{
  override get message(): string {
    return `Supervisor "${this.supervisor}" has ended`
  }
}

/** Is why a child was not started. */
export type StartRefused = ChildAlreadyPresent | MaxChildrenReached | SupervisorClosed

/** Says that a child runs, or is on its way to, so that it can neither be started nor deleted. Terminate it first. */
export class ChildRunning
  extends Schema.TaggedError<ChildRunning>("@holdfast/core/ChildRunning")("ChildRunning", {
    supervisor: Schema.String,
    child: Schema.String
  })
{
  override get message(): string {
    return `Child "${this.child}" of supervisor "${this.supervisor}" runs`
  }
}
