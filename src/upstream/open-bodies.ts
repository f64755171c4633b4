/** Bodies of all upstreams that are being read whole: what they hold together is bounded, since a registry may never end one. */
import { CrossdockError, UPSTREAM_BUSY } from '../errors.ts'

/** Bytes under way at a time; small bodies, which nearly all are, come beside it. */
const READ_AT_ONCE = 128 * 1024 * 1024
const SMALL = 256 * 1024

const BUSY_RETRY_SECONDS = 30

/** What one body holds; ends with it. */
export interface OpenBody extends Disposable {
  /** Says how much of it there is by now, bytes. Throws `overloaded` when all of them hold too much. */
  grow(size: number): void
}

export class OpenBodies {
  #underWay = 0

  /** `what` is read, for messages. */
  open(what: string): OpenBody {
    let counted = 0
    return {
      grow: (size) => {
        const more = Math.max(0, size - SMALL) - counted
        if (more > 0 && this.#underWay + more > READ_AT_ONCE) throw tooMuch(what)
        counted += more
        this.#underWay += more
      },
      [Symbol.dispose]: () => {
        this.#underWay -= counted
        counted = 0
      },
    }
  }
}

function tooMuch(what: string): CrossdockError {
  return new CrossdockError(
    'overloaded',
    `${what}: documents of more than ${READ_AT_ONCE} bytes are being read from upstreams already; pull again in a minute`,
    { reason: UPSTREAM_BUSY, retryAfter: BUSY_RETRY_SECONDS },
  )
}
