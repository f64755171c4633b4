/** An index around a single image, for formats whose images come with other manifests. */
import { digestOf } from '../oci/digest.ts'
import type { ImageConfig, ImageIndex } from '../oci/manifest.ts'
import { INDEX_TYPES } from '../oci/media-type.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { Manifests } from '../pull/manifests.ts'

/** Its one child is the image, on the platform that its config names. Nobody but us sees it as it is. */
export function indexOfOne(
  manifests: Pick<Manifests, 'parse'>,
  { digest, bytes, mediaType }: RawManifest,
  { os, architecture, variant }: ImageConfig,
): ImageIndex {
  const platform = os && architecture ? { architecture, os, variant } : undefined
  const document = {
    schemaVersion: 2,
    mediaType: INDEX_TYPES.oci,
    manifests: [{ mediaType, digest, size: bytes.byteLength, platform }],
  }
  const text = new TextEncoder().encode(JSON.stringify(document))
  const raw = { mediaType: INDEX_TYPES.oci, bytes: text, digest: digestOf(text) }
  const index = manifests.parse(raw)
  if (index.kind !== 'index') throw new Error('what was written as an index is one')
  return index
}
