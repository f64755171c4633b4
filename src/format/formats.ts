/** The table of all formats. A new one is one line here. */
import { corrections } from './corrections.ts'
import { estargz } from './estargz.ts'
import type { Encoding, Format, FormatOptions } from './format.ts'
import { nydus, nydusRef } from './nydus/nydus.ts'
import { gzip, none, zstd } from './recompressed.ts'
import { soci } from './soci/soci.ts'
import { zstdchunked, zstdchunkedStargz } from './zstd-chunked.ts'

export const FORMATS: readonly Format[] = [
  gzip,
  zstd,
  none,
  estargz,
  zstdchunked,
  zstdchunkedStargz,
  soci,
  nydus,
  nydusRef,
]

export function findFormat(name: string): Format | undefined {
  return FORMATS.find((format) => format.name === name)
}

/** Everything that is made of one layer: for formats, which share them, and for the store's own use. */
const ENCODINGS: readonly Encoding[] = [...FORMATS.map(({ encoding }) => encoding), corrections]

/** Formats that share one take the same options. */
export function findEncoding(name: string): Encoding | undefined {
  return ENCODINGS.find((encoding) => encoding.name === name)
}

/** What is made where an encoding must refuse: the format of the plainer encoding's own name. */
export function findFallback({ fallback }: Encoding): Format | undefined {
  return fallback === undefined ? undefined : findFormat(fallback)
}

/** Every option at its default. */
export function defaultOptions(format: Format): FormatOptions {
  return Object.fromEntries(
    Object.entries(format.options).map(([name, spec]) => [name, spec.default]),
  )
}
