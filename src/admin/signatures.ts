/** What is known of an image's signatures: by the tags that signers leave in the store, or, when asked for, by its upstream. */
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Upstreams } from '../ports/upstream.ts'

/** Tags that cosign makes beside an image, by what they say about it. */
const TAGS = { signature: 'sig', attestation: 'att', sbom: 'sbom' } as const

export type SignatureKind = keyof typeof TAGS | 'referrer'

export interface FoundSignature {
  readonly kind: SignatureKind
  readonly digest: Digest
  /** Of a referrer. */
  readonly type: string | null
}

/** Of what somebody has pulled through here. */
export async function knownSignatures(
  catalog: Pick<Catalog, 'tags'>,
  repository: Repository,
  source: Digest,
): Promise<readonly FoundSignature[]> {
  const found: FoundSignature[] = []
  for (const [kind, tag] of signatureTags(source)) {
    const known = await catalog.tags.find(repository, tag)
    if (known !== undefined) found.push({ kind, digest: known.digest, type: null })
  }
  return found
}

/** Of what its upstream says now. Throws what the upstream fails with. */
export async function askForSignatures(
  upstreams: Pick<Upstreams, 'find'>,
  { upstream: host, name }: Repository,
  source: Digest,
): Promise<readonly FoundSignature[]> {
  const upstream = upstreams.find(host)
  if (upstream === undefined) return []
  const found: FoundSignature[] = []
  for (const { digest, artifactType, mediaType } of await upstream.referrers(name, source)) {
    found.push({ kind: 'referrer', digest, type: artifactType ?? mediaType })
  }
  for (const [kind, tag] of signatureTags(source)) {
    const known = await upstream.resolve(name, tag)
    if (known !== undefined) found.push({ kind, digest: known.digest, type: null })
  }
  return found
}

function signatureTags(source: Digest): readonly [keyof typeof TAGS, string][] {
  const stem = source.replace(':', '-')
  return Object.entries(TAGS).map(([kind, end]) => [kind as keyof typeof TAGS, `${stem}.${end}`])
}
