/**
 * An inspection: what the audit knows of one installed package.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Contents, measure, readStart } from "./contents.ts"
import { type Agreement, compare, declaredLicence } from "./declared.ts"
import { licenceSection, licencesIn, licencesNamed } from "./licences.ts"

/** A licence text of a package: the file it is in, and the licences recognised in it (perhaps none). */
export interface LicenceText {
  readonly file: string
  readonly licences: ReadonlyArray<string>
}

/** What `inspect.ts` prints for a package, as one line of JSON. */
export interface Inspection extends Contents {
  readonly name: string
  readonly version: string
  readonly path: string
  readonly declared: string | null
  readonly texts: ReadonlyArray<LicenceText>
  readonly agreement: Agreement
}

/** Inspects the package in the directory `path`. Throws an `Error` that names what could not be read. */
export const inspectPackage = (path: string): Inspection => {
  const manifest = readManifest(path)
  const declared = declaredLicence(manifest)
  const texts = licenceTexts(path)
  const found = texts.length === 0 ? undefined : texts.flatMap((text) => text.licences)
  return {
    name: String(manifest["name"]),
    version: String(manifest["version"]),
    path,
    declared,
    texts,
    agreement: compare(declared, found),
    ...measure(path)
  }
}

// internal

/** More than any licence text; the few files beyond it repeat what comes first. */
const textBytesMax = 256 * 1024

const licenceName = /^(licen[sc]es?|copying|unlicense)(\b|_)/i
const sourceName = /\.([cm]?[jt]sx?|json|map)$/i

const readManifest = (path: string): { readonly [field: string]: unknown } => {
  const file = Path.join(path, "package.json")
  const manifest: unknown = parse(file, Fs.readFileSync(file, "utf8"))
  if (typeof manifest !== "object" || manifest === null) throw new Error(`${file} is not an object`)
  return { ...manifest }
}

const parse = (file: string, text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`${file} is not JSON: ${(error as Error).message}`, { cause: error })
  }
}

const licenceTexts = (path: string): ReadonlyArray<LicenceText> => {
  const files = Fs.readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isFile())
    .map((entry) => entry.name).sort()
  const texts = files.filter((file) => licenceName.test(file) && !sourceName.test(file))
    .map((file) => ({ file, licences: licencesIn(readStart(Path.join(path, file), textBytesMax)) }))
  return texts.length > 0 ? texts : files.flatMap((file) => readmeText(path, file))
}

/** A README section often only names the licence: then the name stands for the text. */
const readmeText = (path: string, file: string): ReadonlyArray<LicenceText> => {
  if (!/^readme(\.|$)/i.test(file)) return []
  const section = licenceSection(readStart(Path.join(path, file), textBytesMax))
  if (section === undefined) return []
  const licences = licencesIn(section)
  return [{ file, licences: licences.length > 0 ? licences : licencesNamed(section) }]
}
