/**
 * A licence known by the phrases of its text and by the names it is given. Everything here is a pure function
 * over text.
 */

/** The SPDX identifiers of the licences that are recognised by their text. */
export type LicenceId = (typeof rules)[number]["id"]

/**
 * Names the licences whose text is in `text`, each once, in the order in which they begin.
 *
 * A file may hold several (bundlers append those of what they bundled). Empty when none is recognised.
 */
export const licencesIn = (text: string): ReadonlyArray<LicenceId> => {
  const normalised = normalise(text)
  const starts = openings.flatMap((phrase) => occurrences(normalised, phrase)).sort((a, b) => a.at - b.at)
  const ids = starts.flatMap(({ at, phrase }, index) =>
    matching(phrase, normalised.slice(at, starts[index + 1]?.at)) ?? []
  )
  return [...new Set(ids)]
}

/** Names the licences that `text` mentions by name, as in "Apache License, Version 2.0" or "MIT © somebody". */
export const licencesNamed = (text: string): ReadonlyArray<LicenceId> => {
  const normalised = normalise(text)
  return rules.filter((rule) => rule.names.some((name) => normalised.includes(` ${name} `))).map((rule) =>
    rule.id
  )
}

/** Lower case, one space between words, nothing but letters and digits; begins and ends with a space. */
export const normalise = (text: string): string =>
  ` ${text.normalize("NFKC").toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, " ").trim()} `

/**
 * Takes the licence section out of a README: from a heading that says so to the next heading of its level or
 * above. `undefined` without one.
 */
export const licenceSection = (readme: string): string | undefined => {
  const lines = readme.split(/\r?\n/)
  const start = lines.findIndex((line, index) => {
    const heading = headingAt(lines, index)
    return heading !== undefined && /\blicen[sc](e|es|ing)\b/i.test(line)
  })
  if (start < 0) return undefined
  const level = headingAt(lines, start) ?? 1
  const end = lines.findIndex((_, index) => index > start && (headingAt(lines, index) ?? 7) <= level)
  return lines.slice(start + 1, end < 0 ? undefined : end).join("\n")
}

// internal

/**
 * `opens`: any of these phrases begins the text. Between it and the next opening phrase, all of `holds` and
 * none of `lacks` must be found. `names`: what the licence is called in prose.
 */
interface Rule {
  readonly id: string
  readonly opens: ReadonlyArray<string>
  readonly holds?: ReadonlyArray<string>
  readonly lacks?: ReadonlyArray<string>
  readonly names: ReadonlyArray<string>
}

const iscGrant = ["and or", "and"].map((and) =>
  `permission to use copy modify ${and} distribute this software for any purpose with or without fee is hereby granted`
)
const iscCondition =
  "provided that the above copyright notice and this permission notice appear in all copies"
const bsdGrant = [
  "redistribution and use in source and binary forms",
  "redistribution and use of this software in source and binary forms"
]
const bsdNames = "to endorse or promote products derived from"
const bsdAdvertising = "all advertising materials mentioning features"

const rules = [
  {
    id: "MIT",
    opens: ["permission is hereby granted free of charge to any person obtaining a copy"],
    holds: ["the above copyright notice and this permission notice"],
    lacks: ["shall be used for good not evil"],
    names: ["mit"]
  },
  { id: "ISC", opens: iscGrant, holds: [iscCondition], names: ["isc"] },
  { id: "0BSD", opens: iscGrant, lacks: ["provided that"], names: ["0bsd", "zero clause bsd"] },
  {
    id: "Apache-2.0",
    opens: ["apache license version 2 0 january 2004", "licensed under the apache license version 2 0"],
    names: ["apache 2", "apache 2 0", "apache license 2 0", "apache license version 2 0"]
  },
  {
    id: "BSD-3-Clause",
    opens: bsdGrant,
    holds: [bsdNames],
    lacks: [bsdAdvertising],
    names: ["bsd 3 clause", "3 clause bsd", "new bsd"]
  },
  {
    id: "BSD-2-Clause",
    opens: bsdGrant,
    lacks: [bsdNames, bsdAdvertising],
    names: ["bsd 2 clause", "2 clause bsd", "simplified bsd"]
  },
  {
    id: "MPL-2.0",
    opens: ["mozilla public license version 2 0", "mozilla public license v 2 0"],
    names: ["mpl 2 0", "mozilla public license version 2 0", "mozilla public license 2 0"]
  },
  { id: "CC0-1.0", opens: ["cc0 1 0 universal"], names: ["cc0", "cc0 1 0"] },
  {
    id: "CC-BY-4.0",
    opens: ["creative commons attribution 4 0 international"],
    names: ["cc by 4 0", "creative commons attribution 4 0"]
  },
  {
    id: "Unlicense",
    opens: ["this is free and unencumbered software released into the public domain"],
    names: ["unlicense"]
  },
  {
    id: "BlueOak-1.0.0",
    opens: ["blue oak model license"],
    holds: ["version 1 0 0"],
    names: ["blueoak 1 0 0", "blue oak model license 1 0 0"]
  },
  {
    id: "Python-2.0",
    opens: ["python software foundation license version 2"],
    names: ["python 2 0", "psf license", "python software foundation license"]
  }
] as const satisfies ReadonlyArray<Rule>

const openings = [...new Set(rules.flatMap((rule): ReadonlyArray<string> => rule.opens))]

const occurrences = (text: string, phrase: string) => {
  const found: Array<{ readonly at: number; readonly phrase: string }> = []
  const words = ` ${phrase} `
  for (let at = text.indexOf(words); at >= 0; at = text.indexOf(words, at + 1)) found.push({ at, phrase })
  return found
}

const matching = (opening: string, segment: string): LicenceId | undefined =>
  rules.find((rule: Rule) =>
    rule.opens.includes(opening)
    && (rule.holds ?? []).every((phrase) => segment.includes(` ${phrase} `))
    && !(rule.lacks ?? []).some((phrase) => segment.includes(` ${phrase} `))
  )?.id

const headingAt = (lines: ReadonlyArray<string>, index: number): number | undefined => {
  const marks = /^ {0,3}(#{1,6})\s/.exec(lines[index] ?? "")?.[1]
  if (marks !== undefined) return marks.length
  const underline = /^ {0,3}(=|-){3,}\s*$/.exec(lines[index + 1] ?? "")?.[1]
  if (underline === undefined || (lines[index] ?? "").trim() === "") return undefined
  return underline === "=" ? 1 : 2
}
