/** Encoding in independent pieces: each decodes alone, so that they can be compressed side by side. */
import { type ByteStream, inPieces, mapOrdered } from '../lib/streams.ts'
import type { EncodeContext } from './codec.ts'
import { giveBack } from './lent-memory.ts'

/** The pieces in order, the same for any concurrency; no bytes at all are one empty piece. */
export async function* encodePieces(
  bytes: ByteStream,
  pieceSize: number,
  compress: (piece: Uint8Array) => Promise<Uint8Array>,
  context: EncodeContext,
): AsyncGenerator<Uint8Array> {
  let isEmpty = true
  const pack = async (piece: Uint8Array) => {
    const packed = await compress(piece)
    giveBack(piece)
    return packed
  }
  const pieces = inPieces(bytes, pieceSize)
  // One more than are compressed waits in libuv, so that no thread idles while the next one is read and hashed.
  for await (const packed of mapOrdered(pieces, pack, context.concurrency + 1)) {
    context.signal?.throwIfAborted()
    isEmpty = false
    yield packed
  }
  if (isEmpty) yield await compress(new Uint8Array(0))
}
