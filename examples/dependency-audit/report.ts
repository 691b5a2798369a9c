/**
 * A report: what the inspections of all packages come to. Everything here is a pure function over plain data,
 * and depends on nothing but its input: the same results give the same report, in whatever order they finished.
 */
import type { Agreement } from "./declared.ts"
import type { Inspection } from "./inspection.ts"
import { byCodeUnits, type Package } from "./packages.ts"
import type { Outcome, Results } from "./results.ts"

/** One package of the list and what became of it. */
export interface Row {
  readonly package: Package
  readonly outcome: Outcome
}

/** The packages under one licence. */
export interface LicenceTotal {
  readonly licence: string
  readonly packages: number
  readonly bytes: number
}

/** How many packages have this to say of their declared licence and its text. */
export interface AgreementTotal {
  readonly agreement: Agreement
  readonly packages: number
}

/** A package that is installed in several versions, and where each of them is. */
export interface Duplicate {
  readonly name: string
  readonly versions: ReadonlyArray<{ readonly version: string; readonly paths: ReadonlyArray<string> }>
}

/** A package without an inspection. */
export interface Failure {
  readonly package: Package
  readonly reason: string
}

/** The whole report; each list is sorted. `problems` are lines of the results that could not be used. */
export interface Report {
  readonly rows: ReadonlyArray<Row>
  readonly totals: {
    readonly packages: number
    readonly inspected: number
    readonly files: number
    readonly bytes: number
    readonly symlinks: number
  }
  readonly licences: ReadonlyArray<LicenceTotal>
  readonly agreements: ReadonlyArray<AgreementTotal>
  readonly unlicensed: ReadonlyArray<Inspection>
  readonly disagreements: ReadonlyArray<Inspection>
  readonly largest: ReadonlyArray<Inspection>
  readonly duplicates: ReadonlyArray<Duplicate>
  readonly failures: ReadonlyArray<Failure>
  readonly problems: ReadonlyArray<string>
}

/** How many packages `Report.largest` holds at most. */
export const largestMax = 20

/** Builds the report of `packages`; a result for anything else is a problem, a missing one a failure. */
export const buildReport = (packages: ReadonlyArray<Package>, results: Results): Report => {
  const rows = packages.map((entry) => ({
    package: entry,
    outcome: results.outcomes.get(entry.path) ?? { failure: "no usable result" }
  }))
  const inspected = rows.flatMap((row) => "inspection" in row.outcome ? [row.outcome.inspection] : [])
  return {
    rows,
    totals: { packages: rows.length, inspected: inspected.length, ...sums(inspected) },
    licences: licenceTotals(inspected),
    agreements: agreementTotals(inspected),
    unlicensed: inspected.filter((entry) => entry.agreement === "none"),
    disagreements: inspected.filter((entry) => entry.agreement === "differ"),
    largest: [...inspected].sort(byBytes).slice(0, largestMax),
    duplicates: duplicatesOf(packages),
    failures: rows.flatMap(({ package: entry, outcome }) =>
      "failure" in outcome ? [{ package: entry, reason: outcome.failure }] : []
    ),
    problems: [...results.problems, ...strangers(packages, results)]
  }
}

/** Names the licence a package is counted under: the declared one, else what its texts say, else `none`. */
export const licenceOf = (entry: Inspection): string => {
  if (entry.declared !== null) return entry.declared
  if (entry.texts.length === 0) return "none"
  const found = new Set(entry.texts.flatMap((text) => text.licences))
  return found.size === 0 ? "unknown" : [...found].join(", ")
}

// internal

const sums = (inspected: ReadonlyArray<Inspection>) => ({
  files: inspected.reduce((sum, entry) => sum + entry.files, 0),
  bytes: inspected.reduce((sum, entry) => sum + entry.bytes, 0),
  symlinks: inspected.reduce((sum, entry) => sum + entry.symlinks, 0)
})

const byBytes = (left: Inspection, right: Inspection) =>
  right.bytes - left.bytes || byCodeUnits(left.path, right.path)

const licenceTotals = (inspected: ReadonlyArray<Inspection>): ReadonlyArray<LicenceTotal> =>
  [...groupBy(inspected, licenceOf)]
    .map(([licence, entries]) => ({ licence, packages: entries.length, bytes: sums(entries).bytes }))
    .sort((left, right) => right.packages - left.packages || byCodeUnits(left.licence, right.licence))

const agreementTotals = (inspected: ReadonlyArray<Inspection>): ReadonlyArray<AgreementTotal> =>
  [...groupBy(inspected, (entry) => entry.agreement)]
    .map(([agreement, entries]) => ({ agreement, packages: entries.length }))
    .sort((left, right) => byCodeUnits(left.agreement, right.agreement))

const duplicatesOf = (packages: ReadonlyArray<Package>): ReadonlyArray<Duplicate> =>
  [...groupBy(packages, (entry) => entry.name)]
    .map(([name, entries]) => ({ name, versions: versionsOf(entries) }))
    .filter((entry) => entry.versions.length > 1)
    .sort((left, right) => byCodeUnits(left.name, right.name))

const versionsOf = (packages: ReadonlyArray<Package>): Duplicate["versions"] =>
  [...groupBy(packages, (entry) => entry.version)]
    .map(([version, entries]) => ({ version, paths: entries.map((entry) => entry.path) }))
    .sort((left, right) => byCodeUnits(left.version, right.version))

const strangers = (packages: ReadonlyArray<Package>, results: Results): ReadonlyArray<string> => {
  const known = new Set(packages.map((entry) => entry.path))
  return [...results.outcomes.keys()].filter((path) => !known.has(path)).sort(byCodeUnits)
    .map((path) => `${path}: has a result but is not in the list of packages`)
}

const groupBy = <K extends string, A>(
  entries: ReadonlyArray<A>,
  key: (entry: A) => K
): ReadonlyMap<K, ReadonlyArray<A>> => {
  const groups = new Map<K, Array<A>>()
  for (const entry of entries) {
    const group = groups.get(key(entry))
    if (group === undefined) groups.set(key(entry), [entry])
    else group.push(entry)
  }
  return groups
}
