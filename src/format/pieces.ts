/** Parts of a layer that are compressed alone, several at a time, and come out in order with their places in the blob. */
import { setImmediate } from 'node:timers/promises'
import { Semaphore } from '../lib/semaphore.ts'
import { join } from '../lib/streams.ts'
import type { TocEntry } from './toc.ts'

/** One gzip member or zstd frame to be. */
export interface Piece {
  readonly parts: readonly Uint8Array[]
  /** Bytes in `parts`. */
  readonly size: number
  /** The entry, of a file or of a chunk, whose content begins here. */
  readonly chunk?: TocEntry | undefined
  /** The file whose content ends here; set only where the table of contents says so. */
  readonly closes?: TocEntry | undefined
  /** Entries that are complete when the place of this piece is known, in order. */
  readonly settles: readonly TocEntry[]
}

/** What may wait at a time: enough for all cores while one large piece holds up the order. */
const MAX_PIECES = 256
const MAX_BYTES = 32 * 1024 * 1024

/** Work between two turns of the event loop, a few milliseconds: bytes, and what a piece costs beside its bytes. */
const TURN = 512 * 1024
const PIECE_WORK = 16 * 1024

/** Same order for any concurrency. Returns what the source returned. */
export async function* compressPieces<F>(
  pieces: AsyncGenerator<Piece, F>,
  compress: (bytes: Uint8Array) => Promise<Uint8Array>,
  context: {
    readonly concurrency: number
    readonly signal?: AbortSignal | undefined
    /** For pieces that need no library: their bytes, or nothing. */
    readonly packNow?: (piece: Piece) => Uint8Array | undefined
  },
): AsyncGenerator<{ readonly piece: Piece; readonly bytes: Uint8Array }, F> {
  // One more than are compressed waits in libuv, so that no thread idles until this one gets to it.
  const slots = new Semaphore(context.concurrency + 1)
  const waiting: Waiting[] = []
  let bytes = 0
  let work = 0
  try {
    for (;;) {
      if (work >= TURN) {
        work = 0
        await setImmediate()
      }
      const step = await pieces.next()
      context.signal?.throwIfAborted()
      if (!step.done) {
        const piece = step.value
        const packed = context.packNow?.(piece)
        const compressed = packed ?? slots.run(() => compress(join(piece.parts)))
        waiting.push(started(piece, Promise.resolve(compressed)))
        bytes += piece.size
        work += piece.size + PIECE_WORK
      }
      const room = step.done ? 0 : MAX_PIECES
      while (waiting.length > room || bytes > MAX_BYTES || waiting[0]?.isDone) {
        const head = waiting.shift()
        if (head === undefined) break
        bytes -= head.piece.size
        yield { piece: head.piece, bytes: await head.result }
      }
      if (step.done) return step.value
    }
  } finally {
    await pieces.return(undefined as never)
  }
}

interface Waiting {
  readonly piece: Piece
  readonly result: Promise<Uint8Array>
  isDone: boolean
}

/** Remembers when it is done; a failure is thrown in its turn, and never unhandled. */
function started(piece: Piece, result: Promise<Uint8Array>): Waiting {
  const waiting: Waiting = { piece, result, isDone: false }
  const done = () => {
    waiting.isDone = true
  }
  result.then(done, done)
  return waiting
}
