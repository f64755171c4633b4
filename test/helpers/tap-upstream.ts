/** An upstream without a network whose blobs come as the test lets them, by a clock that the test moves. */
import type { Digest } from '../../src/oci/digest.ts'
import type { BlobStat, ByteRange } from '../../src/ports/blobs.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { Upstream, UpstreamBlob, Upstreams } from '../../src/ports/upstream.ts'

/** A body on its way. */
export class Tap {
  readonly digest: Digest
  readonly range: ByteRange | undefined
  #chunks: Uint8Array[] = []
  #isEnded = false
  #failure: { readonly cause: unknown } | undefined
  #news = Promise.withResolvers<void>()

  constructor(digest: Digest, range: ByteRange | undefined, signal: AbortSignal | undefined) {
    this.digest = digest
    this.range = range
    signal?.addEventListener('abort', () => this.fail(signal.reason))
  }

  get isOver(): boolean {
    return this.#isEnded || this.#failure !== undefined
  }

  push(bytes: Uint8Array): void {
    this.#chunks.push(bytes)
    this.#tell()
  }

  end(): void {
    this.#isEnded = true
    this.#tell()
  }

  fail(cause: unknown): void {
    this.#failure ??= { cause }
    this.#tell()
  }

  async *read(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure.cause
        const chunk = this.#chunks.shift()
        if (chunk !== undefined) yield chunk
        else if (this.#isEnded) return
        else await this.#news.promise
      }
    } finally {
      this.#isEnded = true
    }
  }

  #tell(): void {
    this.#news.resolve()
    this.#news = Promise.withResolvers()
  }
}

export class TapUpstream implements Upstream {
  readonly name: string
  /** Of every request for a blob, in order. */
  readonly taps: Tap[] = []
  readonly #blobs = new Map<Digest, number>()

  constructor(name: string) {
    this.name = name
  }

  add({ digest, size }: BlobStat): void {
    this.#blobs.set(digest, size)
  }

  async statBlob(_: string, digest: Digest): Promise<BlobStat | undefined> {
    const size = this.#blobs.get(digest)
    return size === undefined ? undefined : { digest, size }
  }

  async blob(
    _: string,
    { digest }: { readonly digest: Digest },
    { range, signal }: { readonly range?: ByteRange; readonly signal?: AbortSignal } = {},
  ): Promise<UpstreamBlob | undefined> {
    const size = this.#blobs.get(digest)
    if (size === undefined) return undefined
    const tap = new Tap(digest, range, signal)
    this.taps.push(tap)
    return { size, body: tap.read() }
  }

  resolve = unasked
  manifest = unasked
  tags = unasked
  referrers = unasked
}

export function upstreamsOf(...all: readonly TapUpstream[]): Upstreams {
  const [first] = all
  if (first === undefined) throw new Error('there is at least one upstream')
  return {
    find: (name) => all.find((one) => one.name === name),
    default: first,
    names: all.map(({ name }) => name),
  }
}

export class TestClock implements Clock {
  #ms = 0

  now(): number {
    return this.#ms
  }

  monotonic(): number {
    return this.#ms
  }

  async sleep(): Promise<void> {}

  /** Moves on, after everything that is under way has come as far as it can. */
  async pass(ms: number): Promise<void> {
    await settled()
    this.#ms += ms
  }
}

/** Everything that waits for nothing but its turn has had it. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 5; i += 1) await new Promise(setImmediate)
}

async function unasked(): Promise<never> {
  throw new Error('nobody asks for this here')
}
