/** What an image of nydus blobs is made of (containerd/nydus-snapshotter pkg/converter): the blobs, and a bootstrap over all of them. */
import { collect } from '../../lib/streams.ts'
import { appendLayer } from '../../oci/config-layers.ts'
import { DESCRIBED_LAYER } from '../../oci/image-kind.ts'
import type { LayerChange } from '../../oci/rewrite.ts'
import {
  type Assembled,
  type AssemblyContext,
  LayerRefusedError,
  type Piece,
  type SourceImage,
} from '../format.ts'
import { planBootstrap } from './bootstrap.ts'
import { bootstrapLayer } from './bootstrap-layer.ts'
import type { BlobEntry } from './bootstrap-tables.ts'
import { MAX_BLOBS } from './constants.ts'
import { ImageTree } from './merge.ts'
import { readLayer } from './read-blob.ts'

const BLOB_TYPE = 'application/vnd.oci.image.layer.nydus.blob.v1'
const CONFIG_TYPE = 'application/vnd.nydus.image.config.v1+json'
const BOOTSTRAP_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip'

/** Keys of annotations, all of which containerd hands to the snapshotter. */
const BLOB = 'containerd.io/snapshot/nydus-blob'
const BOOTSTRAP = 'containerd.io/snapshot/nydus-bootstrap'
const FS_VERSION = 'containerd.io/snapshot/nydus-fs-version'

const HISTORY = { created_by: 'Nydus Converter', comment: 'Nydus Bootstrap Layer' }

/** Of the bootstrap's compression; never changes the bytes. */
const CONCURRENCY = 2

/** Throws LayerRefusedError where layers do not go together, or one of them is none of ours. */
export async function assembleNydus(
  { image, config }: SourceImage,
  pieces: readonly (Piece | undefined)[],
  { read, write, options }: AssemblyContext,
): Promise<Assembled> {
  const blobs = pieces.filter((piece) => piece !== undefined)
  if (blobs.length < image.layers.length) {
    throw new LayerRefusedError('the image has layers that are not in its registry')
  }
  const tree = new ImageTree()
  const entries: (BlobEntry | undefined)[] = []
  for (const [i, piece] of blobs.entries()) {
    const entry = await putLayer(tree, piece, read)
    checkReference(entry, image.layers[i]?.digest ?? '')
    entries.push(entry)
  }
  const bootstrap = await planBootstrap(tree)
  if (bootstrap.blobs.length > MAX_BLOBS) {
    throw new LayerRefusedError(`the image has more than ${MAX_BLOBS} layers with files`)
  }
  const layer = bootstrapLayer(bootstrap, CONCURRENCY)
  const stat = await write(layer.bytes)
  const changes = blobs.map(({ target, size }, of): LayerChange => {
    const blob = entries[of]
    const annotations = { [BLOB]: 'true', ...(blob && referenceOf(blob)) }
    return { kind: 'made', of, digest: target, size, mediaType: BLOB_TYPE, annotations }
  })
  const annotations = { [BOOTSTRAP]: 'true', [FS_VERSION]: '6' }
  return {
    layers: [...changes, { kind: 'made', ...stat, mediaType: BOOTSTRAP_TYPE, annotations }],
    // A blob counts as unpacked.
    config: appendLayer(config, [...blobs.map(({ target }) => target), layer.diffId()], HISTORY),
    // Beside its original, no other client may take it for one of the same platform.
    ...(options.index === 'both' && { configType: CONFIG_TYPE }),
  }
}

/** Reads a layer and puts it on those below it; what is said of its blob. */
async function putLayer(
  image: ImageTree,
  piece: Piece,
  read: AssemblyContext['read'],
): Promise<BlobEntry | undefined> {
  const { target: digest, size } = piece
  const readAt = (start: number, length: number) =>
    collect(read(piece, { start, end: start + length }), length)
  const { tree, blob } = await readLayer({ digest, size, read: readAt }, image)
  await image.put(tree)
  return blob
}

/** Readers know layers by sha256 alone. */
function checkReference(blob: BlobEntry | undefined, layer: string): void {
  if (blob?.meta === undefined || layer === `sha256:${blob.id}`) return
  throw new LayerRefusedError(`layer ${layer} cannot be referred to, which takes a sha256`)
}

function referenceOf({ id, meta }: BlobEntry): Readonly<Record<string, string>> {
  return meta === undefined ? {} : { [DESCRIBED_LAYER]: `sha256:${id}` }
}
