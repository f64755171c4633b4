/**
 * What it takes, beside the tar of a gzip layer, to make the layer again to the last bit. No format: nothing that a client pulls, but
 * made, kept and looked up like every blob that is made of one layer.
 */
import { analyse } from '../codec/restore/analyse.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import { type Encoding, LayerRefusedError } from './format.ts'

export const corrections: Encoding = {
  name: 'corrections',
  revision: 1,
  reads: 'source',
  tar: 'absent',
  async *encode(_source, _options, { reopen, signal, unpacked, limits, ...context }) {
    const found = await (context.analyse ?? analyse)(reopen, {
      signal,
      maxOutput: limits.maxOutput,
    })
    if (found.kind === 'carry') throw new LayerRefusedError(found.why)
    unpacked(found.tar.size)
    yield found.corrections
    const diffId = digestOf(found.tar.sha256)
    const facts = { model: found.model }
    return {
      facts,
      unpacked: { diffId, diffId512: undefined, uncompressedSize: found.tar.size },
    }
  },
}

/** Whether a record is of this encoding as this build writes it. */
export function isCorrections(layer: {
  readonly encoding: string
  readonly revision: number
}): boolean {
  return layer.encoding === corrections.name && layer.revision === corrections.revision
}

function digestOf(sha256: string): Digest {
  const digest = `sha256:${sha256}`
  if (!isDigest(digest)) throw new TypeError(`${sha256} is no SHA-256`)
  return digest
}
