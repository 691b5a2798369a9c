import { describe, expect, it } from "@effect/vitest"
import type { Row, SqlValue, Statement } from "@holdfast/persistence/SqlPlan"
import * as SqlPlan from "@holdfast/persistence/SqlPlan"
import * as FastCheck from "effect/FastCheck"

/** Runs a plan with an answer per statement, and tells the statements. */
const run = <A>(plan: SqlPlan.SqlPlan<A>, answer: (statement: Statement) => ReadonlyArray<Row>) => {
  const statements: Array<Statement> = []
  let step = plan.next()
  while (step.done !== true) {
    statements.push(step.value)
    step = plan.next(answer(step.value))
  }
  return { statements, value: step.value }
}

/** As many parameters as there are question marks, in one row per bracket. */
const rowsOf = ({ params, sql }: Statement): ReadonlyArray<ReadonlyArray<SqlValue>> => {
  const widths = Array.from(sql.matchAll(/\(([?,]*)\)/g), ([, marks]) => (marks ?? "").split(",").length)
  expect(widths.reduce((sum, width) => sum + width, 0)).toBe(params.length)
  let at = 0
  return widths.map((width) => params.slice(at, at += width))
}

describe("SqlPlan", () => {
  it.prop(
    "law: rows go out in order in chunks of a power of two up to 128, and their answers come back in order",
    { count: FastCheck.nat(700), width: FastCheck.integer({ min: 1, max: 5 }) },
    ({ count, width }) => {
      const rows = Array.from(
        { length: count },
        (_, row) => Array.from({ length: width }, (_, column) => `${row}:${column}`)
      )
      const { statements, value } = run(
        SqlPlan.queryRows(rows, (values) => `INSERT ${values}`),
        (statement) => rowsOf(statement).map((row) => ({ first: row[0] ?? null }))
      )
      expect(statements.flatMap(rowsOf)).toEqual(rows)
      expect(value).toEqual(rows.map((row) => ({ first: row[0] })))
      const sizes = statements.map((statement) => rowsOf(statement).length)
      expect(sizes.filter((size) => !Number.isInteger(Math.log2(size)) || size > SqlPlan.rowsMax)).toEqual([])
      expect(sizes.toSorted((a, b) => b - a)).toEqual(sizes)
    }
  )

  it.prop(
    "law: values go out in order in such chunks as well, each behind the parameters of the statement",
    { count: FastCheck.nat(700), before: FastCheck.array(FastCheck.string(), { maxLength: 2 }) },
    ({ before, count }) => {
      const values = Array.from({ length: count }, (_, index) => index)
      const { statements, value } = run(
        SqlPlan.queryIn(values, (list) => `SELECT ${list}`, before),
        ({ params }) => params.slice(before.length).map((value) => ({ value }))
      )
      expect(value).toEqual(values.map((value) => ({ value })))
      for (const { params, sql } of statements) {
        expect(params.slice(0, before.length)).toEqual(before)
        expect(sql.split("?").length - 1).toBe(params.length - before.length)
      }
    }
  )

  it.prop("law: few different texts are prepared, whatever the number of rows", {
    counts: FastCheck.array(FastCheck.nat(400))
  }, ({ counts }) => {
    const texts = counts.flatMap((count) =>
      run(SqlPlan.queryRows(Array.from({ length: count }, () => [1, 2]), (values) => values), () => [])
        .statements
    )
    expect(new Set(texts.map(({ sql }) => sql)).size).toBeLessThanOrEqual(8)
  })

  it.prop("law: a chunk is the largest power of two that fits", {
    count: FastCheck.integer({ min: 1, max: 5_000 })
  }, ({ count }) => {
    const size = SqlPlan.chunkSize(count)
    expect(Number.isInteger(Math.log2(size))).toBe(true)
    expect(size).toBeLessThanOrEqual(Math.min(count, SqlPlan.rowsMax))
    expect(size * 2 > count || size === SqlPlan.rowsMax).toBe(true)
  })
})
