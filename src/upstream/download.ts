/**
 * The body of a blob, from any byte on: read on by Range from where a connection broke, never joined in the wrong place,
 * never longer than it should be. The digest is for the store to check.
 */
import { CrossdockError } from '../errors.ts'
import type { ByteRange } from '../ports/blobs.ts'
import type { Clock } from '../ports/clock.ts'
import { type Answer, checkEncoding } from './answer.ts'
import { parseContentRange, parseLength } from './content-range.ts'
import { codeOf, isBroken, isTimeout, raise } from './failures.ts'

export interface DownloadSettings {
  /** For messages: "blob sha256:... of docker.io/library/alpine". */
  readonly what: string
  /** Size of the whole blob as its descriptor says. */
  readonly size: number | undefined
  readonly range: ByteRange | undefined
  readonly signal: AbortSignal | undefined
  readonly retries: number
  /** Bytes a second; slower over a minute is no download. Time that the reader takes is not counted. */
  readonly leastRate: number
  readonly clock: Clock
  readonly random: () => number
  /** Asks for the blob from `start` on; `tries` counts how often in a row nothing came. `undefined`: it is not there. */
  readonly open: (
    headers: Readonly<Record<string, string>>,
    tries: number,
  ) => Promise<Answer | undefined>
  readonly broken: (reason: string) => void
}

/** An answer and where in the blob it starts. */
interface Part {
  readonly answer: Answer
  readonly start: number
}

const RATE_WINDOW_MS = 60_000
/** What one wait counts for at most, ms: a process that was stopped for hours would find every upstream too slow. */
const RATE_WAIT_MS = 30_000
/** Who asked for a blob and does not begin to read it gets no connection kept open, ms. */
const UNREAD_MS = 60_000
const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 5_000

export class Download {
  readonly #settings: DownloadSettings
  readonly #start: number
  #first: Part | undefined
  /** Size of the whole blob, once somebody has said it. */
  #total: number | undefined
  /** Strong ETag of the first answer. */
  #etag: string | undefined

  constructor(settings: DownloadSettings) {
    this.#settings = settings
    this.#total = settings.size
    this.#start = settings.range?.start ?? 0
  }

  /** Size of the whole blob, if anybody says it. */
  get size(): number | undefined {
    return this.#total
  }

  /** Waits for the first answer. False: the blob is not there. */
  async open(): Promise<boolean> {
    const answer = await this.#settings.open(this.#rangeHeaders(this.#start), 0)
    if (answer === undefined) return false
    this.#first = this.#accept(answer, this.#start)
    const etag = answer.header('etag')
    if (etag?.startsWith('"')) this.#etag = etag
    setTimeout(() => {
      this.#first?.answer.close()
      this.#first = undefined
    }, UNREAD_MS).unref()
    return true
  }

  /** The bytes; call it once. */
  async *read(): AsyncGenerator<Uint8Array> {
    const rate = new RateGauge(this.#settings.clock, this.#settings.leastRate)
    let part = this.#first
    this.#first = undefined
    let offset = this.#start
    let tries = 0
    // An empty blob is asked for to its end as well.
    while (offset === this.#start || !this.#isComplete(offset)) {
      try {
        part ??= await this.#reopen(offset, tries)
        for await (const chunk of rate.watch(wanted(part, offset))) {
          const end = this.#end ?? Number.POSITIVE_INFINITY
          if (offset + chunk.byteLength > end && this.#settings.range === undefined)
            throw this.#tooLong()
          const bytes = chunk.subarray(0, end - offset)
          offset += bytes.byteLength
          tries = 0
          yield bytes
          if (offset >= end && this.#settings.range !== undefined) return
        }
        if (this.#end === undefined || this.#isComplete(offset)) return
        throw this.#broken('ended early', 'short', undefined)
      } catch (error) {
        this.#checkHopeless(error, rate)
        part = undefined
        this.#settings.broken(
          error instanceof CrossdockError ? (error.reason ?? '') : codeOf(error),
        )
        if (tries >= this.#settings.retries) throw this.#gaveUp(error)
        await this.#settings.clock.sleep(this.#delay(tries), this.#settings.signal)
        tries += 1
      } finally {
        part?.answer.close()
      }
    }
  }

  get #end(): number | undefined {
    const asked = this.#settings.range?.end
    if (asked === undefined || this.#total === undefined) return asked ?? this.#total
    return Math.min(asked, this.#total)
  }

  #isComplete(offset: number): boolean {
    return this.#end !== undefined && offset >= this.#end
  }

  async #reopen(offset: number, tries: number): Promise<Part> {
    const answer = await this.#settings.open(this.#rangeHeaders(offset), tries)
    if (answer !== undefined) return this.#accept(answer, offset)
    throw new CrossdockError(
      'upstreamFailed',
      `${this.#settings.what}: it vanished while it was being read; pull again`,
      { reason: 'vanished' },
    )
  }

  #rangeHeaders(offset: number): Record<string, string> {
    const end = this.#settings.range?.end
    if (offset === 0 && end === undefined) return {}
    return {
      range: `bytes=${offset}-${end === undefined ? '' : end - 1}`,
      ...(this.#etag !== undefined && { 'if-range': this.#etag }),
    }
  }

  /** Where the answer starts, after checking that it is about this blob. */
  #accept(answer: Answer, offset: number): Part {
    try {
      checkIsBlob(answer, this.#settings.what)
      if (answer.status === 206) {
        const range = parseContentRange(answer.header('content-range'))
        if (range?.start !== offset)
          throw this.#wrongSize('another range than the one asked for', answer)
        this.#checkTotal(range.total, answer)
        return { answer, start: offset }
      }
      if (answer.status !== 200) throw this.#wrongSize(`status ${answer.status}`, answer)
      this.#checkTotal(parseLength(answer.header('content-length')), answer)
      return { answer, start: 0 }
    } catch (error) {
      answer.close()
      throw error
    }
  }

  #checkTotal(stated: number | undefined, answer: Answer): void {
    if (stated === undefined) return
    this.#total ??= stated
    if (stated !== this.#total) throw this.#wrongSize(`${stated} bytes, not ${this.#total}`, answer)
  }

  /** Throws what reading on cannot mend. */
  #checkHopeless(error: unknown, rate: RateGauge): void {
    this.#settings.signal?.throwIfAborted()
    if (rate.isTooSlow) {
      const text = 'is far too slow (limits.leastRate)'
      throw this.#broken(text, 'too-slow', error, 'upstreamTimeout')
    }
    const isShort = error instanceof CrossdockError && error.reason === 'short'
    if (!isShort && !isBroken(error)) throw error
  }

  #gaveUp(error: unknown): CrossdockError {
    if (error instanceof CrossdockError) return error
    const code = codeOf(error)
    return isTimeout(error)
      ? this.#broken('stopped coming', code, error, 'upstreamTimeout')
      : this.#broken('broke off again and again', code, error)
  }

  #broken(
    text: string,
    reason: string,
    cause: unknown,
    kind: 'upstreamFailed' | 'upstreamTimeout' = 'upstreamFailed',
  ): CrossdockError {
    const { what } = this.#settings
    const message = `${what}: it ${text}; check the connection to this upstream${raise(reason)}`
    return new CrossdockError(kind, message, { cause, reason })
  }

  #tooLong(): CrossdockError {
    return new CrossdockError(
      'badSize',
      `${this.#settings.what}: more than the ${this.#end} bytes that it should have; the registry serves something else, tell its operator`,
      { reason: 'too-long' },
    )
  }

  #wrongSize(text: string, answer: Answer): CrossdockError {
    return new CrossdockError(
      'badSize',
      `${this.#settings.what}: ${answer.url.host} sends ${text}; the registry serves something else, tell its operator`,
      { reason: 'size' },
    )
  }

  #delay(tries: number): number {
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** tries)
    return ceiling / 2 + (this.#settings.random() * ceiling) / 2
  }
}

/** Throws for what is certainly no blob: a log-in page, or bytes that somebody has encoded on the way. */
export function checkIsBlob(answer: Answer, what: string): void {
  checkEncoding(answer, what)
  // A registry that keeps web pages as blobs says so by their digest.
  const isNamed = answer.header('docker-content-digest') !== undefined
  if (answer.contentType === 'text/html' && !isNamed) {
    throw new CrossdockError(
      'badDigest',
      `${what}: ${answer.url.host} sends a web page instead; check the URL of this upstream, and for a log-in page in between`,
      { reason: 'web-page' },
    )
  }
}

/** What lies at and behind `offset`. */
async function* wanted(part: Part, offset: number): AsyncGenerator<Uint8Array> {
  let skip = offset - part.start
  for await (const chunk of part.answer.body) {
    if (chunk.byteLength > skip) yield chunk.subarray(skip)
    skip = Math.max(0, skip - chunk.byteLength)
  }
}

/** Counts bytes against the time spent waiting for them. */
class RateGauge {
  readonly #clock: Clock
  readonly #leastRate: number
  #bytes = 0
  #waitedMs = 0
  /** Set when a whole window brought too little. */
  isTooSlow = false

  constructor(clock: Clock, leastRate: number) {
    this.#clock = clock
    this.#leastRate = leastRate
  }

  async *watch(bytes: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
    let asked = this.#clock.monotonic()
    try {
      for await (const chunk of bytes) {
        this.#count(this.#clock.monotonic() - asked, chunk.byteLength)
        if (this.isTooSlow) throw new Error('too slow')
        yield chunk
        asked = this.#clock.monotonic()
      }
    } catch (error) {
      this.#count(this.#clock.monotonic() - asked, 0)
      throw error
    }
  }

  #count(ms: number, bytes: number): void {
    this.#waitedMs += Math.min(ms, RATE_WAIT_MS)
    this.#bytes += bytes
    if (this.#waitedMs < RATE_WINDOW_MS) return
    this.isTooSlow = this.#bytes < (this.#waitedMs / 1000) * this.#leastRate
    this.#waitedMs = 0
    this.#bytes = 0
  }
}
