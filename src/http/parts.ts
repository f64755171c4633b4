/** Answers to requests for ranges: one goes out as it is, several as `multipart/byteranges`. */
import { randomUUID } from 'node:crypto'
import { CrossdockError } from '../errors.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { ByteRange } from '../ports.ts'
import type { Exchange, Headers } from './exchange.ts'
import { contentRange, multipartOf, parseRange, type RangeAnswer } from './range.ts'

/** What a GET asks for; the whole when `If-Range` names something else (RFC 9110 section 13.1.5). */
export function rangeOf(exchange: Exchange, size: number, etag: string): RangeAnswer {
  const header = exchange.isHead ? undefined : exchange.header('range')
  const condition = exchange.header('if-range')
  if (condition !== undefined && condition !== etag) return { kind: 'whole' }
  return parseRange(header, size)
}

export function refuseRange(exchange: Exchange, size: number, headers: Headers): void {
  const text = `${exchange.header('range')?.slice(0, 80)} asks for nothing of these ${size} bytes; ask for less, or for the whole`
  exchange.fail(new CrossdockError('rangeInvalid', text), {
    ...headers,
    'Content-Range': `bytes */${size}`,
  })
}

export interface Parts {
  /** Bytes of the whole. */
  readonly size: number
  readonly ranges: readonly ByteRange[]
  readonly headers: Headers & { readonly 'Content-Type': string }
  /** Called for one range after the other, before anything of it goes out. */
  readonly open: (range: ByteRange) => ByteStream | Promise<ByteStream>
}

/** In the order asked, never merged. */
export async function sendParts(
  exchange: Exchange,
  { size, ranges, headers, open }: Parts,
): Promise<void> {
  const [only] = ranges
  if (ranges.length === 1 && only !== undefined) {
    const body = await open(only)
    exchange.begin(206, {
      ...headers,
      'Content-Range': contentRange(only, size),
      'Content-Length': only.end - only.start,
    })
    await exchange.stream(body)
    return
  }
  const boundary = randomUUID().replaceAll('-', '')
  const multipart = multipartOf(ranges, size, boundary, headers['Content-Type'])
  let begun = false
  for (const [i, range] of ranges.entries()) {
    const body = await open(range)
    if (!begun) {
      exchange.begin(206, {
        ...headers,
        'Content-Type': multipart.contentType,
        'Content-Length': multipart.length,
      })
      begun = true
    }
    exchange.writeText(multipart.heads[i] ?? '')
    if (!(await exchange.write(body))) return
  }
  exchange.writeText(multipart.tail)
  exchange.finish()
}
