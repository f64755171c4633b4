/** Nydus images (RAFS v6), mounted lazily by nydus-snapshotter: with data of their own, or with those of the original gzip layers. */
import { beyondLimit } from '../../codec/failure.ts'
import type { ByteStream } from '../../lib/streams.ts'
import { Hasher } from '../../oci/digest.ts'
import { findMediaType } from '../../oci/media-type.ts'
import { refusing } from '../estargz.ts'
import type {
  Encoded,
  Encoding,
  Format,
  IndexForm,
  OptionTable,
  SourceContext,
  TarContext,
  Unpacked,
} from '../format.ts'
import { assembleNydus } from './image.ts'
import type { LayerTree } from './layer-tree.ts'
import { encodeNative } from './native.ts'
import { encodeZran } from './zran.ts'

const options: OptionTable = {
  compression: {
    type: 'choice',
    default: 'zstd',
    choices: ['zstd', 'none'],
    doc: 'Compression of the pieces of files that a nydus blob holds.',
  },
  index: {
    type: 'choice',
    default: 'replace',
    choices: ['replace', 'both'],
    doc: 'Whether nydus images take the places of their originals in an index, or stand beside them.',
  },
}

/** What an index says of a nydus image beside its original (containerd/nydus-snapshotter pkg/index), and a list of referrers. */
const ARTIFACT_TYPE = 'application/vnd.nydus.image.manifest.v1+json'

const inIndex: IndexForm = {
  wraps: ({ index }) => index === 'both',
  place({ digest, size, mediaType }, { index }) {
    const child = { digest, size, mediaType }
    return index === 'both'
      ? { beside: [{ ...child, artifactType: ARTIFACT_TYPE }] }
      : { instead: child }
  },
}

const nativeEncoding: Encoding = {
  name: 'nydus',
  revision: 1,
  tar: 'absent',
  uses: ['compression'],
  reads: 'tar',
  encode: (tar, { compression }, context) =>
    refusing(encodeBlob(tar, compression === 'none' ? 'none' : 'zstd', context)),
}

const zranEncoding: Encoding = {
  name: 'nydus-ref',
  revision: 1,
  tar: 'absent',
  // Where a layer falls back to a blob of its own.
  uses: ['compression'],
  reads: 'source',
  fallback: 'nydus',
  encode: (source, _options, context) => refusing(encodeReference(source, context)),
}

const shared = {
  revision: 1,
  options,
  dialects: ['oci'],
  convertsAllPlatforms: false,
  assemble: assembleNydus,
  inIndex,
  asReferrer: { lists: 'image', artifactType: ARTIFACT_TYPE },
} as const satisfies Partial<Format>

export const nydus: Format = {
  ...shared,
  name: 'nydus',
  suffixes: ['nydus'],
  doc: 'nydus images (RAFS v6), mounted lazily by nydus-snapshotter',
  encoding: nativeEncoding,
  deed: () => 'replace',
}

export const nydusRef: Format = {
  ...shared,
  name: 'nydus-ref',
  suffixes: ['nydus-ref'],
  doc: 'the same, with the data left in the original gzip layers where they are such',
  encoding: zranEncoding,
  // Where the data stay in the layer, it has to stay as well.
  deed: ({ mediaType }) =>
    findMediaType(mediaType)?.compression === 'gzip' ? 'describe' : 'replace',
}

async function* encodeBlob(
  tar: ByteStream,
  compression: 'none' | 'zstd',
  context: TarContext,
): AsyncGenerator<Uint8Array, Encoded> {
  return { facts: {}, ...noteOf(yield* encodeNative(tar, { compression }, context)) }
}

async function* encodeReference(
  source: ByteStream,
  { signal, wants512, unpacked, limits: { maxOutput } }: SourceContext,
): AsyncGenerator<Uint8Array, Encoded & { readonly unpacked: Unpacked }> {
  const tar = new Hasher()
  const tar512 = wants512 ? new Hasher('sha512') : undefined
  const onTar = (bytes: Uint8Array) => {
    tar.update(bytes)
    tar512?.update(bytes)
    if (tar.size > maxOutput) throw beyondLimit('gzip', maxOutput)
    unpacked(tar.size)
  }
  const tree = yield* encodeZran(source, { onTar, signal })
  const found = { uncompressedSize: tar.size, diffId: tar.digest(), diffId512: tar512?.digest() }
  return { facts: {}, ...noteOf(tree), unpacked: found }
}

/** Names of extended attributes that are told of. */
const MAX_TOLD = 10

/** What the form cannot hold of a layer. */
function noteOf({ dropped }: LayerTree): Pick<Encoded, 'note'> {
  if (dropped.size === 0) return {}
  const told = [...dropped].slice(0, MAX_TOLD).map(([name, files]) => `${name} (${files})`)
  const rest = dropped.size - told.length
  const all = [...told, ...(rest > 0 ? [`${rest} more`] : [])]
  return { note: `without the extended attributes ${all.join(', ')}` }
}
