/** Encoding in independent pieces: each decodes alone, so that they can be compressed side by side. */
import { type ByteStream, inPieces, mapOrdered } from '../lib/streams.ts'
import type { EncodeContext } from './codec.ts'

/** The pieces in order, the same for any concurrency; no bytes at all are one empty piece. */
export async function* encodePieces(
  bytes: ByteStream,
  pieceSize: number,
  compress: (piece: Uint8Array) => Promise<Uint8Array>,
  context: EncodeContext,
): AsyncGenerator<Uint8Array> {
  let isEmpty = true
  for await (const piece of mapOrdered(inPieces(bytes, pieceSize), compress, context.concurrency)) {
    context.signal?.throwIfAborted()
    isEmpty = false
    yield piece
  }
  if (isEmpty) yield await compress(new Uint8Array(0))
}
