/** Adds links of a digest that the store knows and the catalog lacks; false when there are none. */
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'

export type Restore = (digest: Digest, repository?: Repository) => Promise<boolean>
