/** The catalog's part for which tag names what. */
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'

export type TagName = Repository & { readonly tag: string }

export interface TagRecord {
  readonly digest: Digest
  /** When upstream last said so, ms since 1970. */
  readonly checkedAt: number
}

export interface TagCatalog {
  find(repository: Repository, tag: string): Promise<TagRecord | undefined>
  record(repository: Repository, tag: string, record: TagRecord): Promise<void>
  /** True when there was such a tag. */
  forget(repository: Repository, tag: string): Promise<boolean>
  /** All tags of a repository, sorted; of all repositories without one. */
  list(repository?: Repository): AsyncIterable<TagRecord & TagName>
  /** Of all repositories, those behind this one, whether or not it is there. */
  listAfter(last: TagName): AsyncIterable<TagRecord & TagName>
}
