/** Pure RFC 9110 section 14 byte ranges, as the clients of registries need them: in the order asked, never merged. */
import { CrossdockError } from '../errors.ts'
import type { ByteRange } from '../ports/blobs.ts'

/** podman asks for up to 1,024 ranges at once and halves the number on a 400. */
const MAX_RANGES = 1024

/**
 * Clients want each byte once. Ranges of something large that overlap would let one small request read it a thousand times
 * (RFC 9110 section 14.2); of something small that is no harm.
 */
const MAX_OVERLAP = 2
const HARMLESS_BYTES = 64 * 1024 * 1024

/** Any number of digits: some clients write the largest number that they know for "to the end". */
const SPEC = /^(?:(\d+)-(\d+)?|-(\d+))$/

/** At least one. */
export type Ranges = readonly [ByteRange, ...ByteRange[]]

export type RangeAnswer =
  | { readonly kind: 'whole' }
  | { readonly kind: 'parts'; readonly ranges: Ranges }
  | { readonly kind: 'unsatisfiable' }

/**
 * What a `Range` header means for `size` bytes. Another unit or bad syntax means the whole; ranges that begin after the
 * end are left out, and when none is left the answer is 416. Throws `requestInvalid` for more than 1,024 ranges, and for ranges that
 * overlap until they are more than twice a large whole.
 */
export function parseRange(header: string | undefined, size: number): RangeAnswer {
  if (header === undefined || !/^bytes=/i.test(header)) return { kind: 'whole' }
  const specs = header
    .slice('bytes='.length)
    .split(',')
    .map((spec) => spec.trim())
    .filter((spec) => spec !== '')
  if (specs.length > MAX_RANGES) {
    throw new CrossdockError(
      'requestInvalid',
      `request asks for ${specs.length} ranges, more than ${MAX_RANGES}; ask for fewer at a time`,
    )
  }
  const ranges: ByteRange[] = []
  for (const spec of specs) {
    const range = parseSpec(spec, size)
    if (range === 'malformed') return { kind: 'whole' }
    if (range !== undefined) ranges.push(range)
  }
  if (specs.length === 0) return { kind: 'whole' }
  const asked = ranges.reduce((sum, { start, end }) => sum + end - start, 0)
  if (asked > Math.max(size * MAX_OVERLAP, HARMLESS_BYTES)) {
    throw new CrossdockError(
      'requestInvalid',
      `request asks for ${asked} bytes of ${size} in ranges that overlap; ask for each byte once`,
    )
  }
  const [first, ...others] = ranges
  return first === undefined
    ? { kind: 'unsatisfiable' }
    : { kind: 'parts', ranges: [first, ...others] }
}

/** `undefined`: not satisfiable. */
function parseSpec(spec: string, size: number): ByteRange | undefined | 'malformed' {
  const match = SPEC.exec(spec)
  if (match === null) return 'malformed'
  const [, first, last, suffix] = match
  if (suffix !== undefined) {
    const length = Math.min(Number(suffix), size)
    return length === 0 ? undefined : { start: size - length, end: size }
  }
  const start = Number(first)
  const end = last === undefined ? size : Math.min(Number(last) + 1, size)
  if (last !== undefined && Number(last) < start) return undefined
  return start < size ? { start, end } : undefined
}

/** `bytes 0-499/1234` */
export function contentRange(range: ByteRange, size: number): string {
  return `bytes ${range.start}-${range.end - 1}/${size}`
}

export interface Multipart {
  readonly contentType: string
  /** Bytes of the whole body. */
  readonly length: number
  /** What goes before a range's bytes. Made when it is needed: a thousand of them would wait for a client that takes its time. */
  readonly headOf: (range: ByteRange) => string
  readonly tail: string
}

/** Frames several ranges of a `mediaType` as multipart/byteranges (RFC 9110 section 14.6). */
export function multipartOf(
  ranges: readonly ByteRange[],
  size: number,
  boundary: string,
  mediaType = 'application/octet-stream',
): Multipart {
  const headOf = (range: ByteRange) =>
    `\r\n--${boundary}\r\nContent-Type: ${mediaType}\r\nContent-Range: ${contentRange(range, size)}\r\n\r\n`
  const tail = `\r\n--${boundary}--\r\n`
  const payload = ranges.reduce((sum, range) => sum + (range.end - range.start), 0)
  const framing = ranges.reduce((sum, range) => sum + headOf(range).length, 0) + tail.length
  return {
    contentType: `multipart/byteranges; boundary=${boundary}`,
    length: payload + framing,
    headOf,
    tail,
  }
}
