/** The lines of the journal on disk that say more, or less, than the fact itself. */
import type { Repository } from '../oci/repository.ts'
import type { Pin } from '../ports/pins.ts'

export interface PinLine extends Pin {
  /** False: from here on it is not. */
  readonly isPinned: boolean
}

/** The digest is in the file's name. */
export interface ProofLine extends Repository {
  readonly size: number
  readonly standing: 'proven' | 'made'
  readonly role?: 'config'
}
