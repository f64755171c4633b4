/** What people name images by: repository, tag or digest, and the profile that a puller would get. */
import type { Wanted } from '../convert/asks.ts'
import type { Digest } from '../oci/digest.ts'
import { fullName, type Repository } from '../oci/repository.ts'

export interface NamedImage {
  /** As it was typed. */
  readonly text: string
  readonly repository: Repository
  readonly reference: { readonly tag: string } | { readonly digest: Digest }
  /** From the rules; a suffix of the tag wins over it. */
  readonly wanted: Wanted | undefined
}

/** `docker.io/library/alpine:3-zstd` */
export function formatImage({
  repository,
  reference,
}: Omit<NamedImage, 'text' | 'wanted'>): string {
  const tail = 'tag' in reference ? `:${reference.tag}` : `@${reference.digest}`
  return `${fullName(repository)}${tail}`
}
