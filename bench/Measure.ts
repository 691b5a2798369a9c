/**
 * Measures pieces of work side by side: in turn, several rounds, medians and ratios within one run.
 */
import { performance } from "node:perf_hooks"

/** One contestant: runs its work once and says how many things it did. */
export interface Contestant {
  readonly name: string
  readonly run: () => Promise<number>
  /** Whether what it says is the figure itself, and not a count to be divided by the time. */
  readonly isFigure?: true
  /** Lets go of what it kept from round to round. */
  readonly close?: () => Promise<void>
}

/** What a contestant reached. */
export interface Figure {
  readonly name: string
  /** Things per second: the median of the rounds, the worst and the best. */
  readonly median: number
  readonly least: number
  readonly most: number
}

/** Runs every contestant once to warm up, then all of them in turn for so many rounds. */
export const race = async (
  rounds: number,
  contestants: ReadonlyArray<Contestant>
): Promise<ReadonlyArray<Figure>> => {
  const rates = new Map<string, Array<number>>(contestants.map(({ name }) => [name, []]))
  for (let round = -1; round < rounds; round++) {
    for (const { isFigure, name, run } of contestants) {
      const start = performance.now()
      const count = await run()
      const seconds = isFigure === true ? 1 : (performance.now() - start) / 1_000
      if (round >= 0) rates.get(name)?.push(count / seconds)
    }
  }
  for (const { close } of contestants) await close?.()
  return contestants.map(({ name }) => figure(name, rates.get(name) ?? []))
}

/** The ratio of two contestants' medians. */
export const ratio = (figures: ReadonlyArray<Figure>, name: string, peer: string): number => {
  const median = (wanted: string) => figures.find((f) => f.name === wanted)?.median ?? Number.NaN
  return median(name) / median(peer)
}

const figure = (name: string, rates: ReadonlyArray<number>): Figure => {
  const sorted = [...rates].sort((a, b) => a - b)
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return { name, median: at(0.5), least: at(0), most: at(1) }
}
