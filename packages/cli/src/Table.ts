/**
 * Text tables for lists on a terminal or in a log.
 */
import * as DateTime from "effect/DateTime"

/** Lays out rows under their headings; columns are two spaces apart, numbers are right-aligned. */
export const table = (
  headings: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string | number>>
): ReadonlyArray<string> => {
  const all = [headings, ...rows]
  const widths = headings.map((_, column) => Math.max(...all.map((row) => String(row[column] ?? "").length)))
  return all.map((row) =>
    row.map((cell, column) => {
      const width = widths[column] ?? 0
      return typeof cell === "number" ? String(cell).padStart(width) : cell.padEnd(width)
    }).join("  ").trimEnd()
  )
}

/** A time in ISO 8601, to the millisecond, UTC. */
export const iso = (millis: number): string => DateTime.formatIso(DateTime.unsafeMake(millis))

/** A time as people read it: ISO 8601 to the second, or a dash. */
export const time = (
  millis: number | null
): string => (millis === null ? "-" : `${iso(millis).slice(0, 19)}Z`)

/** One line of at most `width` characters, without control characters. */
export const oneLine = (text: string, width: number): string => {
  const flat = text.replaceAll(/\p{Cc}+/gu, " ")
  return flat.length <= width ? flat : `${flat.slice(0, width - 1)}…`
}
