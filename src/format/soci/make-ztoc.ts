/** From a layer's stored bytes to its ztoc, whatever they turn out to be. */
import { type DecodeLimits, HEAD_SIZE } from '../../codec/codec.ts'
import { decodeLayer, sniffCompression } from '../../codec/codecs.ts'
import { type ByteStream, peek } from '../../lib/streams.ts'
import { Hasher } from '../../oci/digest.ts'
import type { ZtocOutcome } from './ztoc.ts'
import { ZtocThread } from './ztoc-thread.ts'

export interface ZtocContext {
  readonly spanSize: number
  readonly tool: string
  readonly limits: DecodeLimits
  /** Whether the tar's sha512 is wanted, too. */
  readonly wants512: boolean
  /** Told now and then how many bytes of tar there are so far; throws where that is too much. */
  readonly unpacked: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
}

/** Reads the layer once, to its end. Throws what `decodeLayer` throws, what `unpacked` throws, and why it was aborted. */
export async function makeZtoc(source: ByteStream, context: ZtocContext): Promise<ZtocOutcome> {
  const { head, rest } = await peek(source, HEAD_SIZE)
  const compression = sniffCompression(head)
  return compression === 'gzip' || compression === 'none'
    ? await makeInThread(rest, compression, context)
    : await unpackOnly(rest, context)
}

async function makeInThread(
  source: ByteStream,
  compression: 'gzip' | 'none',
  { spanSize, tool, limits, wants512, unpacked, signal }: ZtocContext,
): Promise<ZtocOutcome> {
  const { maxOutput } = limits
  using thread = new ZtocThread({ compression, spanSize, tool, maxOutput, wants512 }, unpacked)
  const stop = () => thread.fail(signal?.reason)
  signal?.addEventListener('abort', stop)
  try {
    for await (const bytes of source) await thread.push(bytes)
    return await thread.finish()
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}

/** SOCI has no word for zstd; what is no layer at all fails here. */
async function unpackOnly(
  source: ByteStream,
  { limits, wants512, unpacked, signal }: ZtocContext,
): Promise<ZtocOutcome> {
  const hasher = new Hasher()
  const hasher512 = wants512 ? new Hasher('sha512') : undefined
  for await (const bytes of decodeLayer(source, limits)) {
    signal?.throwIfAborted()
    hasher.update(bytes)
    hasher512?.update(bytes)
    unpacked(hasher.size)
  }
  return {
    unpacked: {
      diffId: hasher.digest(),
      diffId512: hasher512?.digest(),
      uncompressedSize: hasher.size,
    },
    ztoc: { kind: 'refused', reason: 'the layer is compressed with zstd' },
  }
}
