/**
 * Reads a tar as a stream of events whose bytes, put together, are the tar again: nothing is lost, nothing is copied but
 * headers that lie across two chunks. Names, sizes and times are what Go's archive/tar says; where that reader fails, or
 * where others would see other files, it throws AmbiguousTarError.
 */
import { type ByteStream, join } from '../lib/streams.ts'
import { BLOCK_SIZE, isZero, parseBlock } from './block.ts'
import { AmbiguousTarError, type TarEntry } from './entry.ts'
import { HeaderParts } from './header.ts'

export type TarEvent =
  /** `raw`: all header blocks of the entry, extended headers and their padding included. */
  | { readonly kind: 'entry'; readonly entry: TarEntry; readonly raw: Uint8Array }
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  /** Behind the content of a file, up to the next block. */
  | { readonly kind: 'padding'; readonly bytes: Uint8Array }
  /** Zero blocks and whatever follows them, in any number of parts. */
  | { readonly kind: 'end'; readonly bytes: Uint8Array }

/** Bytes that are looked at in one go: about 2 ms of work for those who hash and cut them. */
const SLICE = 256 * 1024

export async function* readTar(tar: ByteStream): AsyncGenerator<TarEvent> {
  for await (const batch of readTarBatches(tar)) yield* batch
}

/**
 * The same events by slices of the tar, since handing over the many of small files one by one costs more than reading them.
 * Each batch is read while it is iterated: go through it, once, before the next.
 */
export async function* readTarBatches(tar: ByteStream): AsyncGenerator<Iterable<TarEvent>> {
  const parser = new TarParser()
  for await (const chunk of tar) {
    for (let at = 0; at < chunk.byteLength; at += SLICE) {
      yield parser.push(chunk.subarray(at, at + SLICE))
    }
  }
  parser.finish()
}

export class TarParser {
  #state: 'block' | 'meta' | 'data' | 'padding' | 'end' = 'block'
  /** Bytes that the state still waits for. */
  #missing = BLOCK_SIZE
  #parts: Uint8Array[] = []
  #padding = 0
  #zeroBlocks = 0
  #header = new HeaderParts()

  /** Bytes up to where something else begins: content, padding, a header; without end behind the end of the tar. */
  get missing(): number {
    return this.#missing
  }

  /** Throws when the tar ends in the middle of something. */
  finish(): void {
    const isBetween = this.#state === 'block' && this.#parts.length === 0 && this.#header.isEmpty
    if (this.#state === 'end' || isBetween) return
    throw new AmbiguousTarError('the tar ends in the middle of an entry')
  }

  /** Copies what it holds of the chunks so far: their memory is going to change. */
  keep(): void {
    this.#parts = this.#parts.map((bytes) => new Uint8Array(bytes))
    this.#header.keep()
  }

  /** Events as far as they are known; a generator, so that the caller decides when to go on. */
  *push(chunk: Uint8Array): Generator<TarEvent> {
    for (let at = 0; at < chunk.byteLength; ) {
      const part = chunk.subarray(at, at + Math.min(this.#missing, chunk.byteLength))
      at += part.byteLength
      this.#missing -= part.byteLength
      if (this.#state === 'block' || this.#state === 'meta') yield* this.#collect(part)
      else yield* this.#pass(part)
    }
  }

  *#collect(part: Uint8Array): Generator<TarEvent> {
    this.#parts.push(part)
    if (this.#missing > 0) return
    const bytes = join(this.#parts)
    this.#parts = []
    if (this.#state === 'block') yield* this.#block(bytes)
    else yield* this.#meta(bytes)
  }

  *#pass(bytes: Uint8Array): Generator<TarEvent> {
    if (this.#state === 'data') {
      yield { kind: 'data', bytes }
      if (this.#missing === 0) this.#expect('padding', this.#padding)
    } else if (this.#state === 'padding') {
      yield { kind: 'padding', bytes }
      if (this.#missing === 0) this.#expect('block', BLOCK_SIZE)
    } else {
      if (!isZero(bytes)) throw new AmbiguousTarError('the tar goes on behind its end')
      yield { kind: 'end', bytes }
    }
  }

  *#block(bytes: Uint8Array): Generator<TarEvent> {
    if (isZero(bytes)) {
      if (!this.#header.isEmpty)
        throw new AmbiguousTarError('the tar ends behind an extended header')
      this.#zeroBlocks += 1
      if (this.#zeroBlocks < 2) this.#expect('block', BLOCK_SIZE)
      else this.#expect('end', Number.POSITIVE_INFINITY)
      yield { kind: 'end', bytes }
      return
    }
    if (this.#zeroBlocks > 0) throw new AmbiguousTarError('a lone zero block is not the end')
    const metaSize = this.#header.addBlock(bytes, parseBlock(asBuffer(bytes)))
    if (metaSize > 0) this.#expect('meta', metaSize)
    else yield* this.#complete()
  }

  *#meta(bytes: Uint8Array): Generator<TarEvent> {
    this.#header.addBody(bytes)
    yield* this.#complete()
  }

  *#complete(): Generator<TarEvent> {
    const found = this.#header.take()
    if (found === undefined) {
      this.#expect('block', BLOCK_SIZE)
      return
    }
    const { size } = found.entry
    this.#padding = (BLOCK_SIZE - (size % BLOCK_SIZE)) % BLOCK_SIZE
    this.#expect('data', size)
    yield { kind: 'entry', ...found }
  }

  /** Goes to a state, or over it when it has no bytes. */
  #expect(state: 'block' | 'meta' | 'data' | 'padding' | 'end', bytes: number): void {
    if (bytes > 0) {
      this.#state = state
      this.#missing = bytes
    } else if (state === 'data') this.#expect('padding', this.#padding)
    else this.#expect('block', BLOCK_SIZE)
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
