/** The catalog's part for which tag names what. */
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'

export type TagName = Repository & { readonly tag: string }

export interface KnownTag {
  readonly digest: Digest
  /** When upstream last said so, ms since 1970. */
  readonly checkedAt: number
}

export interface TagCatalog {
  find(repository: Repository, tag: string): Promise<KnownTag | undefined>
  record(repository: Repository, tag: string, record: KnownTag): Promise<void>
  /** True when there was such a tag. */
  forget(repository: Repository, tag: string): Promise<boolean>
  /** All tags of a repository, sorted; of all repositories without one. */
  list(repository?: Repository): AsyncIterable<KnownTag & TagName>
  /** Of all repositories, those behind this one, whether or not it is there. */
  listAfter(last: TagName): AsyncIterable<KnownTag & TagName>
}
