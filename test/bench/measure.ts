/** How the benchmarks measure: both sides by turns, the median counts. */

export interface Pair {
  readonly ours: number
  readonly theirs: number
}

/** Seconds of both sides, by turns so that a busy moment hits both; medians. */
export async function comparePair(
  runs: number,
  ours: () => Promise<number>,
  theirs: () => Promise<number>,
): Promise<Pair> {
  const a: number[] = []
  const b: number[] = []
  for (let i = 0; i < runs; i++) {
    a.push(await ours())
    b.push(await theirs())
  }
  return { ours: median(a), theirs: median(b) }
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5)
}

export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return (performance.now() - began) / 1000
}

export function formatRate(bytes: number, seconds: number): string {
  return `${Math.round(bytes / seconds / 1e6)} MB/s`
}

export function formatTime(seconds: number): string {
  return `${seconds.toFixed(2)} s`
}
