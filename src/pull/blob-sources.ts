/**
 * Where the bytes of downloads come from while other processes share the store: upstream, for the one that holds the blob's lease;
 * for all others that one, and where it dies the store or upstream.
 */
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { PeerBlob, Peers } from '../ports/peers.ts'
import type { OthersFlight, OwnFlight, SharedFlights } from '../ports/shared-flights.ts'
import { follow, FollowedBody, type SourceAsk } from './followed-body.ts'

export interface BlobSource {
  readonly kind: 'source'
  /** Of the whole blob, bytes; `undefined`: nobody says. */
  readonly size: number | undefined
  readonly body: ByteStream
  /** Another process stores it, unless it dies; `isStored`: at the end of `body`, that it has said so. */
  readonly elsewhere?: { readonly isStored: () => boolean }
  /** Bytes that came from upstream to this process. */
  readonly fetched?: () => number
  /** The blob is in the store, or its download has failed. */
  readonly end?: () => void
}

export type Sourcing =
  | BlobSource
  /** Upstream does not have it there. */
  | { readonly kind: 'absent' }
  /** Another process is at it, or has just done it: look again when this resolves. */
  | { readonly kind: 'elsewhere'; readonly ended: () => Promise<void> }

/** `doubtful`: what others fetch is not what upstream speaks of under this repository's name. */
export type Word = 'theirs' | 'doubtful' | 'absent'

export interface BlobSourcesDeps {
  readonly store: BlobStore
  readonly flights: SharedFlights
  /** `undefined`: others can only be waited for. */
  readonly peers?: Peers | undefined
  /** Whether the store has what this upstream has sent. */
  readonly isSent: (repository: Repository, digest: Digest) => Promise<boolean>
  /** What upstream says of a blob that comes, and has so many bytes, to a process that asked for it under another name. */
  readonly vouch: (ask: SourceAsk, size: number | undefined) => Promise<Word>
}

export class BlobSources {
  readonly #deps: BlobSourcesDeps

  constructor(deps: BlobSourcesDeps) {
    this.#deps = deps
  }

  async open(ask: SourceAsk): Promise<Sourcing> {
    const { repository, digest, signal } = ask
    const flight = await this.#deps.flights.begin(leaseOf(ask))
    if (flight.kind === 'own') return await this.#own(ask, flight)
    const { peers } = this.#deps
    const blob = peers && (await follow(flight, { repository, digest, start: 0, signal }, peers))
    if (peers === undefined || blob === undefined)
      return { kind: 'elsewhere', ended: () => flight.ended(signal) }
    const word = await this.#wordOn(ask, blob).catch((error: unknown) => {
      blob.drop()
      throw error
    })
    if (word === 'theirs') return this.#following(ask, flight, blob, peers)
    blob.drop()
    return word === 'absent' ? { kind: 'absent' } : await fetchAlone(ask)
  }

  async #own(ask: SourceAsk, flight: OwnFlight): Promise<Sourcing> {
    const end = () => flight[Symbol.dispose]()
    try {
      // Somebody may have done it between the look of whoever asks and now.
      if (await this.#deps.isSent(ask.repository, ask.digest)) {
        end()
        return { kind: 'elsewhere', ended: async () => undefined }
      }
      const source = await fetchAlone(ask)
      if (source.kind === 'source') return { ...source, end }
      end()
      return source
    } catch (error) {
      end()
      throw error
    }
  }

  async #wordOn(ask: SourceAsk, { size, isAdmitted }: PeerBlob): Promise<Word> {
    if (ask.size !== undefined && size !== undefined && ask.size !== size) return 'doubtful'
    return isAdmitted ? 'theirs' : await this.#deps.vouch(ask, size)
  }

  #following(ask: SourceAsk, flight: OthersFlight, blob: PeerBlob, peers: Peers): BlobSource {
    const body = new FollowedBody({ ...this.#deps, peers, ask, lease: leaseOf(ask) }, flight)
    return {
      kind: 'source',
      size: ask.size ?? blob.size,
      body: body.read(blob),
      elsewhere: { isStored: () => body.isStored },
      fetched: () => body.fetched,
      end: () => body.end(),
    }
  }
}

/** From upstream, whatever others do. */
export async function fetchAlone({
  upstream,
  repository,
  digest,
  size,
  signal,
}: SourceAsk): Promise<BlobSource | { readonly kind: 'absent' }> {
  const answer = await upstream.blob(repository.name, { digest, size }, { signal })
  return answer === undefined ? { kind: 'absent' } : { kind: 'source', ...answer }
}

function leaseOf({ key }: SourceAsk): string {
  return `blob ${key}`
}
