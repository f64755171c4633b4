/** Parts of a layer that are compressed alone, several at a time, and come out in order with their places in the blob. */
import { setImmediate } from 'node:timers/promises'
import { join } from '../lib/streams.ts'
import type { TocEntry } from './toc.ts'

/** Bytes that are compressed alone. */
export interface Bytes {
  readonly parts: readonly Uint8Array[]
  /** Bytes in `parts`. */
  readonly size: number
}

/** One gzip member or zstd frame to be. */
export interface Piece extends Bytes {
  /** The entry, of a file or of a chunk, whose content begins here. */
  readonly chunk?: TocEntry | undefined
  /** The file whose content ends here; set only where the table of contents says so. */
  readonly closes?: TocEntry | undefined
  /** Entries that are complete when the place of this piece is known, in order. */
  readonly settles: readonly TocEntry[]
}

/** A piece and its bytes in the blob. */
export interface PackedPiece<P extends Bytes = Piece> {
  readonly piece: P
  readonly bytes: Uint8Array
}

/** What may wait at a time: enough for all cores while one large piece holds up the order. */
const MAX_PIECES = 1024
const MAX_BYTES = 32 * 1024 * 1024

/** What goes on at a time: enough to be worth a call, little enough for one turn. Bytes, and what a piece costs beside its own. */
const BATCH = 1024 * 1024
const HANDOVER = 4 * 1024

/** Short pieces that libuv has at a time, bytes: to wake a thread for each costs more than some of them. */
const SHORT_QUEUE = 128 * 1024

/** Work between two turns of the event loop, a few milliseconds: bytes, and what a piece costs beside its bytes. */
const TURN = 512 * 1024
const PIECE_WORK = 16 * 1024

/** Same order for any concurrency, in batches. Returns what the source returned. */
export async function* compressPieces<F, P extends Bytes = Piece>(
  batches: AsyncGenerator<readonly P[], F>,
  compress: (bytes: Uint8Array) => Promise<Uint8Array>,
  context: {
    readonly concurrency: number
    readonly signal?: AbortSignal | undefined
    /** For pieces that need no library: their bytes, or nothing. */
    readonly packNow?: (piece: P) => Uint8Array | undefined
  },
): AsyncGenerator<readonly PackedPiece<P>[], F> {
  const queue = new PieceQueue<P>(compress, context.concurrency)
  let batch: PackedPiece<P>[] = []
  let batchSize = 0
  let work = 0
  try {
    for (;;) {
      if (work >= TURN) {
        work = 0
        await setImmediate()
      }
      const step = await batches.next()
      context.signal?.throwIfAborted()
      for (const piece of step.done ? [] : step.value) {
        queue.add(piece, context.packNow?.(piece))
        work += piece.size + PIECE_WORK
      }
      for (;;) {
        if (step.done || queue.isFull) await queue.isReady
        const packed = queue.takeReady()
        if (packed === undefined) break
        batch.push(packed)
        batchSize += packed.piece.size + HANDOVER
        if (batchSize < BATCH) continue
        yield batch
        batch = []
        batchSize = 0
      }
      if (step.done) {
        if (batch.length > 0) yield batch
        return step.value
      }
    }
  } finally {
    await batches.return(undefined as never)
  }
}

interface Waiting<P> {
  readonly piece: P
  bytes: Uint8Array | undefined
  failure?: { readonly error: unknown }
  /** Ends, and never fails, when there are bytes or a failure. */
  isDone?: Promise<void>
}

/** Pieces in their order from when they are cut until they are taken, some of them with the library. */
class PieceQueue<P extends Bytes> {
  readonly #compress: (bytes: Uint8Array) => Promise<Uint8Array>
  readonly #concurrency: number
  readonly #waiting: Waiting<P>[] = []
  #waitingBytes = 0
  /** Those of them that the library has still to get. */
  readonly #unstarted: Waiting<P>[] = []
  #running = 0
  #runningBytes = 0

  constructor(compress: (bytes: Uint8Array) => Promise<Uint8Array>, concurrency: number) {
    this.#compress = compress
    this.#concurrency = concurrency
  }

  get isFull(): boolean {
    return this.#waiting.length > MAX_PIECES || this.#waitingBytes > MAX_BYTES
  }

  /** Ends when the first piece can be taken. */
  get isReady(): Promise<void> | undefined {
    return this.#waiting[0]?.isDone
  }

  /** With its bytes, where they are known already. */
  add(piece: P, bytes: Uint8Array | undefined): void {
    const waiting: Waiting<P> = { piece, bytes }
    this.#waiting.push(waiting)
    this.#waitingBytes += piece.size
    if (bytes !== undefined) return
    this.#unstarted.push(waiting)
    this.#start()
  }

  /** The first piece when it is there; throws what became of it when that failed. */
  takeReady(): PackedPiece<P> | undefined {
    const [head] = this.#waiting
    if (head?.failure !== undefined) throw head.failure.error
    if (head?.bytes === undefined) return undefined
    this.#waiting.shift()
    this.#waitingBytes -= head.piece.size
    return { piece: head.piece, bytes: head.bytes }
  }

  #start(): void {
    for (let next = this.#unstarted[0]; next !== undefined; next = this.#unstarted[0]) {
      // One more than are compressed waits in libuv, so that no thread idles until this one gets to it.
      const isShort = this.#runningBytes + next.piece.size <= SHORT_QUEUE
      if (this.#running > this.#concurrency && !isShort) return
      this.#unstarted.shift()
      next.isDone = this.#run(next)
    }
  }

  async #run(waiting: Waiting<P>): Promise<void> {
    const { parts, size } = waiting.piece
    this.#running += 1
    this.#runningBytes += size
    try {
      waiting.bytes = await this.#compress(join(parts))
    } catch (error) {
      waiting.failure = { error }
    }
    this.#running -= 1
    this.#runningBytes -= size
    this.#start()
  }
}
