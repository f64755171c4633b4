/** Other processes that share the store, as far as what grows there can be followed from here; as types only. */
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'

export interface PeerBlob {
  /** Bytes of the whole; `undefined`: nobody has said. */
  readonly size: number | undefined
  /** Upstream has let the repository read it, there. */
  readonly isAdmitted: boolean
  /** From where it was asked for on, as it grows. Not verified: the writer does that. Ends only when all of it has come, else throws. */
  readonly body: ByteStream
  /** Once `body` has ended: that process has said that the blob is stored, and linked to whoever it let in. Older builds never do. */
  isStored(): boolean
  /** Nothing more of it is wanted; `body` fails if somebody reads it. */
  drop(): void
}

export interface PeerAsk {
  readonly repository: Repository
  readonly digest: Digest
  /** Bytes that are here already. */
  readonly start: number
  readonly signal: AbortSignal
}

export interface Peers {
  /** A holder of which nothing is heard for so long may have died or been stopped, ms: its lease tells. */
  readonly silentMs: number
  /** `note`: what the holder of the download's lease says of itself. `undefined`: it cannot be followed there. */
  follow(note: string, ask: PeerAsk): Promise<PeerBlob | undefined>
}
