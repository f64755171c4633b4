/** Images that are sound and that a format cannot express: by nature they stay what they are. */
import { CrossdockError } from '../errors.ts'
import type { Format } from '../format/format.ts'
import { findFallback } from '../format/formats.ts'
import type { Digest } from '../oci/digest.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { ConvertedLayer } from '../ports/conversions.ts'

/** The reason of an original that is served for that. */
export const UNSUITABLE = 'unsuitable'

/** Fact of a layer of which an encoding makes nothing: why. Its record leads to the layer itself. */
export const REFUSED = 'refused'

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

/** `undefined`: something was made of the layer. */
export function refusalOf(
  repository: Repository,
  { source, target, encoding, facts }: ConvertedLayer,
): Unsuitable | undefined {
  const why = facts[REFUSED]
  if (why === undefined || source !== target) return undefined
  return new Unsuitable(`layer ${source}`, repository, encoding, why)
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
    const refusals = made.filter((one) => names.includes(one.encoding))
    const [refusal] = refusals.flatMap((one) => refusalOf(repository, one) ?? [])
    if (refusal !== undefined) return `${UNSUITABLE}, ${refusal.message}`
  }
  return undefined
}
