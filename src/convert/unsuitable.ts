/** Images that are sound and that a format cannot express: by nature they stay what they are. */
import { CrossdockError } from '../errors.ts'
import type { LayerRefusedError } from '../format/format.ts'
import { fullName, type Repository } from '../oci/repository.ts'

/** The reason of an original that is served for that. */
export const UNSUITABLE = 'unsuitable'

/** `what`: a layer, or the image. */
export function unsuitable(
  what: string,
  repository: Repository,
  form: string,
  cause: LayerRefusedError,
): CrossdockError {
  return new CrossdockError(
    'refused',
    `${what} of ${fullName(repository)} cannot be expressed as ${form}: ${cause.message}`,
    { reason: UNSUITABLE, cause },
  )
}

export function isUnsuitable(error: unknown): error is CrossdockError {
  return error instanceof CrossdockError && error.reason === UNSUITABLE
}
