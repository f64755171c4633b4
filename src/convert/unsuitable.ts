/** Images that are sound and that a format cannot express: by nature they stay what they are. */
import { CrossdockError } from '../errors.ts'
import type { Format } from '../format/format.ts'
import { findFallback } from '../format/formats.ts'
import type { Digest } from '../oci/digest.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { RefusedLayer } from '../ports/conversions.ts'

/** The reason of an original that is served for that. */
export const UNSUITABLE = 'unsuitable'

/** A layer or an image that a format cannot express. */
export class Unsuitable extends CrossdockError {
  readonly why: string

  /** `what`: a layer, or the image. */
  constructor(what: string, repository: Repository, form: string, why: string) {
    const where = `${what} of ${fullName(repository)}`
    super('refused', `${where} cannot be expressed as ${form}: ${why}`, { reason: UNSUITABLE })
    this.why = why
  }
}

export function refusalOf(
  repository: Repository,
  { source, encoding, refused }: Pick<RefusedLayer, 'source' | 'encoding' | 'refused'>,
): Unsuitable {
  return new Unsuitable(`layer ${source}`, repository, encoding, refused)
}

/** Why a format was found unable to express one of the layers, with its reason in front. */
export async function findRefusal(
  { conversions }: Pick<Catalog, 'conversions'>,
  repository: Repository,
  layers: readonly { readonly digest: Digest }[],
  { encoding }: Pick<Format, 'encoding'>,
): Promise<string | undefined> {
  const names = [encoding.name, findFallback(encoding)?.encoding.name]
  for (const { digest } of layers) {
    const made = await conversions.listLayers(digest)
    for (const one of made) {
      if (one.kind !== 'refused' || !names.includes(one.encoding)) continue
      return `${UNSUITABLE}, ${refusalOf(repository, one).message}`
    }
  }
  return undefined
}
