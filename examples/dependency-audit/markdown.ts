/**
 * The report as Markdown.
 */
import type { Inspection } from "./inspection.ts"
import { licenceOf, type Report } from "./report.ts"

/** Says in one line what the report comes to. */
export const headline = ({ totals, unlicensed, disagreements, duplicates, failures }: Report): string =>
  [
    `${count(totals.packages, "package")}, ${count(totals.files, "file")}, ${size(totals.bytes)}`,
    `${unlicensed.length} without a licence`,
    `${disagreements.length} whose text is not the declared licence`,
    `${duplicates.length} in several versions`,
    `${failures.length} not inspected`
  ].join("; ")

/** Writes the report. */
export const toMarkdown = (report: Report): string =>
  `${
    [
      "# Dependency audit",
      `${headline(report)}.`,
      section("Licences", ["licence", "packages", "bytes"], report.licences.map(Object.values)),
      section("Declared licence and text", ["comparison", "packages"], report.agreements.map(Object.values)),
      section("Without a licence", packageColumns, report.unlicensed.map(packageCells)),
      section(
        "Text is not the declared licence",
        [...packageColumns, "texts"],
        report.disagreements.map(textCells)
      ),
      section("The largest", [...packageColumns, "files", "bytes"], report.largest.map(sizeCells)),
      section("In several versions", ["name", "version", "path"], duplicateCells(report)),
      section("Not inspected", ["name", "version", "path", "reason"], failureCells(report)),
      section("Results that could not be used", ["problem"], report.problems.map((problem) => [problem]))
    ].join("\n\n")
  }\n`

/** Makes any text one table cell: one line, and nothing in it that Markdown or HTML would act on. */
export const cell = (text: string | number): string =>
  String(text)
    .replaceAll(/[\s\p{Cc}]+/gu, " ")
    .trim()
    .replaceAll(/[\\|`*~[\]]|\b_|_\b/g, String.raw`\$&`)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")

/** Writes bytes for people: `1.5 MiB`. */
export const size = (bytes: number): string => {
  if (bytes < 1024) return `${bytes} B`
  const power = Math.min(3, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** power).toFixed(1)} ${["B", "KiB", "MiB", "GiB"][power]}`
}

// internal

const packageColumns = ["name", "version", "path", "licence"]

const packageCells = (entry: Inspection) => [entry.name, entry.version, entry.path, licenceOf(entry)]

const textCells = (entry: Inspection) => [
  ...packageCells(entry),
  entry.texts.map((text) => `${text.file}: ${text.licences.join(", ")}`).join("; ")
]

const sizeCells = (entry: Inspection) => [...packageCells(entry), entry.files, entry.bytes]

const duplicateCells = ({ duplicates }: Report) =>
  duplicates.flatMap(({ name, versions }) =>
    versions.flatMap(({ version, paths }) => paths.map((path) => [name, version, path]))
  )

const failureCells = ({ failures }: Report) =>
  failures.map(({ package: { name, version, path }, reason }) => [name, version, path, reason])

const section = (
  title: string,
  columns: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string | number>>
): string =>
  rows.length === 0
    ? `## ${title}\n\nNone.`
    : `## ${title}\n\n${
      [columns, columns.map(() => "---"), ...rows.map((row) => row.map(cell))].map(line).join("\n")
    }`

const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`

const count = (amount: number, noun: string) => `${amount} ${noun}${amount === 1 ? "" : "s"}`
