/**
 * The report as CSV: one line for each package.
 *
 * **Source** RFC 4180: lines end with CRLF, a field with a comma, a quote or a line break is quoted.
 */
import type { Report, Row } from "./report.ts"

/** Writes one record, with its line end. */
export const csvRecord = (fields: ReadonlyArray<string | number>): string =>
  `${fields.map((field) => quoted(String(field))).join(",")}\r\n`

/** Writes the report: a header, then a record for each package in the order of the list. */
export const toCsv = (report: Report): string =>
  [columns, ...report.rows.map(fieldsOf)].map(csvRecord).join("")

// internal

const columns = [
  "name",
  "version",
  "path",
  "declared",
  "texts",
  "agreement",
  "files",
  "bytes",
  "symlinks",
  "sha256",
  "failure"
]

const fieldsOf = ({ package: { name, version, path }, outcome }: Row): ReadonlyArray<string | number> => {
  if ("failure" in outcome) return [name, version, path, "", "", "", "", "", "", "", outcome.failure]
  const { declared, texts, agreement, files, bytes, symlinks, sha256 } = outcome.inspection
  const found = texts.map((text) => `${text.file}: ${text.licences.join(" ") || "unknown"}`).join("; ")
  return [name, version, path, declared ?? "", found, agreement, files, bytes, symlinks, sha256, ""]
}

const quoted = (field: string) => /[",\r\n]/.test(field) ? `"${field.replaceAll("\"", "\"\"")}"` : field
