/** The index that lists what refers to a manifest, as the referrers tag schema has it (distribution-spec 1.1). */
import { type Digest, digestOf } from '../oci/digest.ts'
import { INDEX_TYPES } from '../oci/media-type.ts'
import type { Outline } from '../oci/outline.ts'
import type { RawManifest } from '../ports/upstream.ts'

/** `before` with one more referrer in it, in an order that does not depend on who came first. */
export function addReferrer(
  before: Uint8Array | undefined,
  raw: RawManifest,
  parsed: Outline,
): RawManifest {
  const listed = before === undefined ? [] : readDescriptors(before)
  const artifactType = typeOf(parsed)
  const descriptor = {
    mediaType: raw.mediaType,
    digest: raw.digest,
    size: raw.bytes.byteLength,
    ...(artifactType !== undefined && { artifactType }),
    ...(parsed.annotations !== undefined && { annotations: parsed.annotations }),
  }
  const others = listed.filter(({ digest }) => digest !== raw.digest)
  const manifests = [...others, descriptor].sort((a, b) => (a.digest < b.digest ? -1 : 1))
  const document = { schemaVersion: 2, mediaType: INDEX_TYPES.oci, manifests }
  const bytes = new TextEncoder().encode(JSON.stringify(document))
  return { bytes, digest: digestOf(bytes), mediaType: INDEX_TYPES.oci }
}

/** What the referrers API calls the artifact type: the manifest's own, else its config's media type. */
export function typeOf(parsed: Outline): string | undefined {
  return parsed.artifactType ?? (parsed.kind === 'image' ? parsed.config.mediaType : undefined)
}

function readDescriptors(bytes: Uint8Array): readonly { readonly digest: Digest }[] {
  const { manifests } = JSON.parse(new TextDecoder().decode(bytes)) as {
    manifests?: readonly { readonly digest: Digest }[]
  }
  return manifests ?? []
}
