import { describe, expect, it } from "@effect/vitest"
import * as Batch from "@holdfast/persistence/Batch"
import type { SqlPlan, Statement } from "@holdfast/persistence/SqlPlan"
import { query, StatementFailure } from "@holdfast/persistence/SqlPlan"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"

/** What the operation does: it is executed, refused, or the database cannot execute it. */
interface TestOperation {
  readonly _tag: "First" | "Second"
  readonly lane: string
  readonly does: "works" | "refuses" | "fails"
  readonly id: number
}

const handler = function*(
  ops: ReadonlyArray<TestOperation>
): SqlPlan<ReadonlyArray<Either.Either<number, string>>> {
  for (const op of ops) yield* query(`${op.does} ${op.id}`)
  return ops.map((op) => (op.does === "refuses" ? Either.left(`refused ${op.id}`) : Either.right(op.id)))
}

const handlers = Batch.handlersByTag({ First: handler, Second: handler })

/** Runs a plan on a database where statements that say so fail. */
const run = <A>(plan: SqlPlan<A>) => {
  const executed: Array<string> = []
  const answer = ({ sql }: Statement) => {
    executed.push(sql)
    return sql.startsWith("fails") ? plan.throw(new StatementFailure({ detail: sql })) : plan.next([])
  }
  let step = plan.next()
  while (step.done !== true) step = answer(step.value)
  return { executed, value: step.value }
}

const operation = FastCheck.record({
  _tag: FastCheck.constantFrom("First" as const, "Second" as const),
  lane: FastCheck.constantFrom("a", "b", "c"),
  does: FastCheck.constantFrom(
    "works" as const,
    "works" as const,
    "works" as const,
    "refuses" as const,
    "fails" as const
  )
})

const units: FastCheck.Arbitrary<ReadonlyArray<ReadonlyArray<TestOperation>>> = FastCheck.array(
  FastCheck.array(operation, { minLength: 1, maxLength: 3 }),
  { maxLength: 6 }
).map((units) => {
  let id = 0
  return units.map((unit) => unit.map((op) => ({ ...op, id: id++ })))
})

/** What becomes of each unit, by the rule of poison. */
const expected = (units: ReadonlyArray<ReadonlyArray<TestOperation>>) => {
  const failed = new Set<string>()
  return units.map((unit) => {
    const lane = unit.find((op) => failed.has(op.lane))?.lane
    const fails = unit.some(({ does }) => does === "fails")
    if (lane !== undefined || fails) unit.forEach((op) => failed.add(op.lane))
    if (lane !== undefined) return { left: { _tag: "LaneFailed", lane } }
    if (fails) return { left: { _tag: "OperationRejected" } }
    const refused = unit.find(({ does }) => does === "refuses")
    return refused === undefined ? { right: unit.map(({ id }) => id) } : { left: `refused ${refused.id}` }
  })
}

describe("Batch", () => {
  it.prop(
    "law: one by one, a failed operation takes its unit and the later ones of its lanes with it, and nothing else",
    { units },
    ({ units }) => {
      const { executed, value } = run(Batch.oneByOne(handlers, "node", units))
      expect(value.answers).toMatchObject(expected(units))
      const texts = executed.join("; ")
      for (const [index, unit] of units.entries()) {
        const answer = value.answers[index]
        const lane = answer !== undefined && Either.isLeft(answer) && answer.left instanceof Object
          ? (answer.left as { _tag: string })._tag
          : null
        const tried = unit.some(({ does, id }) => executed.includes(`${does} ${id}`))
        expect(tried).toBe(lane !== "LaneFailed")
      }
      // Every savepoint is released, and rolled back before where nothing of its unit may stay.
      const parts = texts.split("SAVEPOINT unit; ").slice(1)
      const written = parts.filter((part) => !part.includes("ROLLBACK TO unit"))
      expect(parts.every((part) => /RELEASE unit(; )?$/.test(part))).toBe(true)
      expect(written.length).toBe(value.answers.filter(Either.isRight).length)
    }
  )

  it.prop(
    "law: together, a batch is given up where a unit of several operations was refused, and else answers like one by one",
    { units },
    ({ units }) => {
      if (units.some((unit) => unit.some(({ does }) => does === "fails"))) return
      const { executed, value } = run(Batch.together(handlers, "node", units))
      expect(executed.toSorted()).toEqual(units.flat().map(({ does, id }) => `${does} ${id}`).toSorted())
      const refused = units.some((unit) => unit.length > 1 && unit.some(({ does }) => does === "refuses"))
      expect(value?.answers ?? null).toEqual(
        refused ? null : run(Batch.oneByOne(handlers, "node", units)).value.answers
      )
    }
  )

  it.prop(
    "law: kinds are executed in order, in as many rounds as the order of a lane needs",
    { units },
    ({ units }) => {
      const ops = units.flat()
      const rounds = Batch.inRounds(handlers, ops)
      expect(rounds.flat()).toEqual(ops)
      for (const [index, round] of rounds.entries()) {
        const back = (op: { readonly _tag: string; readonly lane: string }, among: Batch.Unit) =>
          op._tag === "First" && among.some((other) => other.lane === op.lane && other._tag === "Second")
        expect(round.filter((op, at) => back(op, round.slice(0, at)))).toEqual([])
        const next = rounds[index + 1]?.[0]
        if (next !== undefined) expect(back(next, round)).toBe(true)
      }
    }
  )
})
