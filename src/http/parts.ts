/** Answers to requests for ranges: one goes out as it is, several as `multipart/byteranges`. */
import { randomUUID } from 'node:crypto'
import { CrossdockError } from '../errors.ts'
import { type ByteStream, streamOf } from '../lib/streams.ts'
import type { ByteRange } from '../ports/blobs.ts'
import type { Exchange } from './exchange.ts'
import type { Headers } from './headers.ts'
import { contentRange, multipartOf, parseRange, type RangeAnswer, type Ranges } from './range.ts'

/** Small parts are read and sent together, up to so many bytes: lazy clients ask for a thousand of a few KiB at a time. */
const BATCH_SIZE = 128 * 1024
const BATCH_PARTS = 64

/** Answers with batches of that size at a time; with more of them under way, whose clients may take nothing, batches are small. */
const LARGE_BATCHES = 128
const SMALL_BATCH_SIZE = 16 * 1024

/** Parts of all requests that are read at once, each out of a file of its own; whoever finds more reads one after the other. */
const MAX_READING = 256

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
  readonly ranges: Ranges
  readonly headers: Headers & { readonly 'Content-Type': string }
  /** Called for one range after the other, for the first one before anything goes out. */
  readonly open: (range: ByteRange) => ByteStream | Promise<ByteStream>
  /** Nobody has to wait for bytes of any range, so several may be read at once. */
  readonly atHand: boolean
}

/** What of an exchange answers with ranges. */
type PartExchange = Pick<
  Exchange,
  'begin' | 'stream' | 'write' | 'writeText' | 'finish' | 'hasAnswered'
>

/** Answers to ranges of one process, which share what they may hold. */
export class PartAnswers {
  readonly #largeBatches: number
  readonly #maxReading: number
  /** Answers with several parts under way. */
  #answering = 0
  /** Parts that are being read. */
  #reading = 0

  /** `workers`: processes of this machine that give such answers. */
  constructor(workers = 1) {
    this.#largeBatches = LARGE_BATCHES / workers
    // A batch is read together however many there are.
    this.#maxReading = Math.max(BATCH_PARTS, MAX_READING / workers)
  }

  /** In the order asked, never merged. */
  async send(
    exchange: PartExchange,
    { size, ranges, headers, open, atHand }: Parts,
  ): Promise<void> {
    const [only] = ranges
    if (ranges.length === 1) {
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
    this.#answering += 1
    try {
      for (const batch of atHand ? this.#batchesOf(ranges) : ranges.map((range) => [range])) {
        const body = await this.#openBatch(batch, multipart.headOf, open)
        if (!exchange.hasAnswered) {
          exchange.begin(206, {
            ...headers,
            'Content-Type': multipart.contentType,
            'Content-Length': multipart.length,
          })
        }
        if (!(await exchange.write(body))) return
      }
    } finally {
      this.#answering -= 1
    }
    exchange.writeText(multipart.tail)
    exchange.finish()
  }

  *#batchesOf(ranges: readonly ByteRange[]): Generator<readonly ByteRange[]> {
    let batch: ByteRange[] = []
    let size = 0
    for (const range of ranges) {
      const more = range.end - range.start
      const most = this.#answering > this.#largeBatches ? SMALL_BATCH_SIZE : BATCH_SIZE
      if (batch.length === BATCH_PARTS || (batch.length > 0 && size + more > most)) {
        yield batch
        batch = []
        size = 0
      }
      batch.push(range)
      size += more
    }
    yield batch
  }

  async #openBatch(
    batch: readonly ByteRange[],
    headOf: (range: ByteRange) => string,
    open: Parts['open'],
  ): Promise<ByteStream> {
    const [only] = batch
    if (batch.length === 1 && only !== undefined) return headed(headOf(only), await open(only))
    const heads = batch.map(headOf)
    const sizes = batch.map(({ start, end }, i) => (heads[i] ?? '').length + end - start)
    const whole = Buffer.allocUnsafeSlow(sizes.reduce((sum, size) => sum + size, 0))
    const reads: (() => Promise<void>)[] = []
    let at = 0
    for (const [i, range] of batch.entries()) {
      const body = await open(range)
      const end = at + (sizes[i] ?? 0)
      const place = whole.subarray(at + whole.write(heads[i] ?? '', at, 'latin1'), end)
      reads.push(() => this.#fill(place, body))
      at = end
    }
    if (this.#reading + reads.length <= this.#maxReading)
      await Promise.all(reads.map((read) => read()))
    else for (const read of reads) await read()
    return streamOf(whole)
  }

  /** Copies, since the memory of a chunk may be used again. */
  async #fill(place: Uint8Array, body: ByteStream): Promise<void> {
    this.#reading += 1
    try {
      let filled = 0
      for await (const chunk of body) {
        place.set(chunk, filled)
        filled += chunk.byteLength
      }
      if (filled !== place.byteLength)
        throw new Error(`${filled} bytes of ${place.byteLength} came`)
    } finally {
      this.#reading -= 1
    }
  }
}

async function* headed(head: string, body: ByteStream): AsyncGenerator<Uint8Array> {
  yield Buffer.from(head, 'latin1')
  yield* body
}
