/** A format that does everything a format may do: it describes gzip layers, makes a layer of all descriptions, and stands beside. */
import type { Format } from '../../src/format/format.ts'
import { join, streamOf } from '../../src/lib/streams.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { findMediaType, MANIFEST_TYPES } from '../../src/oci/media-type.ts'

const EMPTY = new TextEncoder().encode('{}')
const ODD_TYPE = 'application/vnd.example.odd'

export const ODD: Format = {
  name: 'odd',
  suffixes: ['odd'],
  doc: 'for tests',
  revision: 1,
  options: {},
  encoding: {
    name: 'odd',
    revision: 1,
    tar: 'absent',
    reads: 'tar',
    async *encode(tar) {
      let size = 0
      for await (const chunk of tar) size += chunk.byteLength
      yield new TextEncoder().encode(`a tar of ${size} bytes`)
      return { facts: {} }
    },
  },
  dialects: ['oci'],
  convertsAllPlatforms: false,
  deed: ({ mediaType }) => (findMediaType(mediaType)?.compression === 'gzip' ? 'describe' : 'keep'),
  whenKept: 'nothing-odd',
  async assemble({ image }, pieces, { read, write }) {
    const made = pieces.filter((piece) => piece !== undefined)
    const all: Uint8Array[] = []
    for (const piece of made) {
      for await (const chunk of read(piece, { start: 0, end: piece.size })) all.push(chunk)
    }
    const whole = await write(streamOf(join(all)))
    const kept = image.layers.map((_, of) => ({ kind: 'kept', of }) as const)
    const document = {
      schemaVersion: 2,
      mediaType: MANIFEST_TYPES.oci,
      config: { mediaType: ODD_TYPE, digest: digestOf(EMPTY), size: EMPTY.byteLength },
      layers: made.map(({ target, size }) => ({ mediaType: ODD_TYPE, digest: target, size })),
    }
    const bytes = new TextEncoder().encode(JSON.stringify(document))
    return {
      layers: [...kept, { kind: 'made', mediaType: ODD_TYPE, ...whole }],
      documents: [{ mediaType: MANIFEST_TYPES.oci, bytes, blobs: [EMPTY] }],
    }
  },
  inIndex: {
    wraps: () => true,
    place: ({ digest, size, mediaType, documents }) => ({
      instead: { digest, size, mediaType },
      beside: documents.map((one) => ({ ...one, artifactType: 'odd' })),
    }),
  },
}
