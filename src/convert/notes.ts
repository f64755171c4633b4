/** What people should know of a conversion: layers that have a plainer form than the profile's, or do not hold everything. */
import type { Digest } from '../oci/digest.ts'
import { isSameRepository, type Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'

/** Of the images that a form consists of, each note once. */
export async function notesOf(
  { conversions }: Pick<Catalog, 'conversions'>,
  repository: Repository,
  images: readonly { readonly digest: Digest }[],
): Promise<readonly string[]> {
  const notes = new Set<string>()
  for (const { digest: target } of images) {
    const made = await conversions.listImages({ target })
    const here = made.filter((one) => isSameRepository(one.repository, repository))
    for (const { source, fallback, note } of here.flatMap(({ layers }) => layers)) {
      if (fallback !== undefined) notes.add(`layer ${source} has its plain form: ${fallback.why}`)
      if (note !== undefined) notes.add(`layer ${source} is ${note}`)
    }
  }
  return [...notes]
}
