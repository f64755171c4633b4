/** The table of all formats. A new one is one line here. */
import { estargz } from './estargz.ts'
import type { Format, FormatOptions } from './format.ts'
import { gzip, none, zstd } from './recompressed.ts'
import { zstdchunked, zstdchunkedStargz } from './zstd-chunked.ts'

export const FORMATS: readonly Format[] = [
  gzip,
  zstd,
  none,
  estargz,
  zstdchunked,
  zstdchunkedStargz,
]

/** By name or by encoding, which names the same bytes. */
export function findFormat(name: string): Format | undefined {
  return (
    FORMATS.find((format) => format.name === name) ??
    FORMATS.find((format) => format.encoding === name)
  )
}

/** Every option at its default. */
export function defaultOptions(format: Format): FormatOptions {
  return Object.fromEntries(
    Object.entries(format.options).map(([name, spec]) => [name, spec.default]),
  )
}

/** One text for equal options: JSON with its names in order. */
export function canonicalOptions(options: FormatOptions): string {
  return JSON.stringify(Object.fromEntries(Object.entries(options).toSorted(byName)))
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1
}
