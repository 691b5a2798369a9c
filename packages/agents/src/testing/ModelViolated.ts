/**
 * A violation of a model is the shortest script found after which an agent is not what its model says.
 */
import * as Schema from "effect/Schema"

/**
 * Says that an agent answered, or became, what its model does not say. `script` are the actions, one a line, and `action`
 * is the one, from 1, at which it showed. `crash` is where the process was ended, if it was.
 *
 * Remedy: mend the agent or the model; the same `seed` and `path` run the same script again.
 */
export class ModelViolated extends Schema.TaggedError<ModelViolated>()("ModelViolated", {
  /** What was compared. */
  subject: Schema.String,
  expected: Schema.String,
  found: Schema.String,
  script: Schema.Array(Schema.String),
  action: Schema.Number,
  crash: Schema.NullOr(Schema.String),
  seed: Schema.NullOr(Schema.Number),
  path: Schema.NullOr(Schema.String)
}) {
  override get message(): string {
    const { action, crash, expected, found, path, script, seed, subject } = this
    const lines = script.map((line, index) => `  ${index + 1 === action ? ">" : " "} ${index + 1}. ${line}`)
    return [
      `${subject} is not what the model says`,
      `  expected: ${expected}`,
      `  found:    ${found}`,
      ...(crash === null ? [] : [`  crashed:  ${crash}`]),
      ...lines,
      ...(seed === null ? [] : [`  again: { seed: ${seed}, path: "${path}" }`])
    ].join("\n")
  }
}
