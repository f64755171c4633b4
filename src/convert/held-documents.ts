/**
 * Manifests and configs that conversions under way have read and hold until they end: what anybody's index leads to is bounded for
 * each, and for all of them together.
 */
import { CrossdockError } from '../errors.ts'

/** Of one conversion, bytes: a thousand images with all they say of themselves have half of it. */
const MOST = 32 * 1024 * 1024
/** As much of that as nobody has to ask for. */
const FREE = 1024 * 1024
/** What lies beyond, of all conversions. */
const SHARED = 128 * 1024 * 1024

const RETRY_SECONDS = 30

/** What one conversion holds; ends with it. */
export interface Holding extends Disposable {
  /** Throws `refused` beyond what one may hold, `overloaded` where all together hold too much. */
  add(bytes: number): void
}

export class HeldDocuments {
  readonly #mostShared: number
  #shared = 0

  /** `workers`: processes of this machine that have such documents. */
  constructor(workers = 1) {
    this.#mostShared = SHARED / workers
  }

  /** `what` is converted, for messages. */
  open(what: string): Holding {
    let own = 0
    let shared = 0
    return {
      add: (bytes) => {
        own += bytes
        if (own > MOST) throw tooLarge(what)
        const more = Math.max(0, own - FREE) - shared
        if (this.#shared + more > this.#mostShared) throw overloaded(what)
        shared += more
        this.#shared += more
      },
      [Symbol.dispose]: () => {
        this.#shared -= shared
        shared = 0
      },
    }
  }
}

function tooLarge(what: string): CrossdockError {
  return new CrossdockError(
    'refused',
    `${what} leads to manifests and configs of more than ${MOST} bytes, more than are read for one image; pull it without a profile, or one of its images by digest`,
    { reason: 'too-many-manifests' },
  )
}

function overloaded(what: string): CrossdockError {
  return new CrossdockError(
    'overloaded',
    `conversions under way hold manifests and configs of more than ${SHARED} bytes: ${what} must wait; pull again in a minute`,
    { reason: 'queue-full', retryAfter: RETRY_SECONDS },
  )
}
