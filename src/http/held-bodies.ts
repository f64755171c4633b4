/**
 * Bodies that lie in memory until their clients have taken them, manifests of 4 MiB for one. While they are many, whoever takes
 * nothing is left soon, so that clients who only ask cost no memory.
 */

/** Of all such bodies, bytes: beyond it there is little patience. */
const TIGHT_BYTES = 64 * 1024 * 1024
const TIGHT_MS = 2_000

/** Of one process. */
export class HeldBodies {
  readonly #tightBytes: number
  #held = 0

  /** `workers`: processes of this machine that hold such bodies. */
  constructor(workers = 1) {
    this.#tightBytes = TIGHT_BYTES / workers
  }

  /** Counts a body; returns what ends that. */
  hold(bytes: number): () => void {
    this.#held += bytes
    return () => {
      this.#held -= bytes
    }
  }

  /** How long a client may take nothing of such a body now, ms. */
  patienceFor(clientIdleMs: number): number {
    return this.#held > this.#tightBytes ? Math.min(TIGHT_MS, clientIdleMs) : clientIdleMs
  }
}

/** How often that is looked at, ms. */
export const LOOK_MS = TIGHT_MS / 2
