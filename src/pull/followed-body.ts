/**
 * The bytes of a blob that another process downloads: as they grow there, and where that process dies, breaks off or cannot be
 * reached, the rest of them from the store, from whoever took its place, or from upstream.
 */
import { CrossdockError } from '../errors.ts'
import { within } from '../lib/within.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { PeerAsk, PeerBlob, Peers } from '../ports/peers.ts'
import type { OthersFlight, OwnFlight, SharedFlights } from '../ports/shared-flights.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { Upstream } from '../ports/upstream.ts'

/**
 * Whoever hears neither a holder nor the catalog is cut off, and waits for this many times the silence after which it asks: longer
 * than a failover of the catalog takes.
 */
const DEAF_LOOKS = 20

export interface SourceAsk {
  /** Upstream and digest. */
  readonly key: string
  readonly upstream: Upstream
  readonly repository: Repository
  readonly digest: Digest
  /** As the repository's manifest says. */
  readonly size: number | undefined
  readonly signal: AbortSignal
}

export interface FollowedBodyDeps {
  readonly store: BlobStore
  readonly flights: SharedFlights
  readonly peers: Peers
  readonly ask: SourceAsk
  /** Name of the download's lease. */
  readonly lease: string
}

export class FollowedBody {
  readonly #deps: FollowedBodyDeps
  #flight: OthersFlight
  #own: OwnFlight | undefined
  #size: number | undefined
  #position = 0
  #fetched = 0
  #isStored = false

  constructor(deps: FollowedBodyDeps, flight: OthersFlight) {
    this.#deps = deps
    this.#flight = flight
  }

  /** Bytes that came from upstream itself. */
  get fetched(): number {
    return this.#fetched
  }

  /** Once `read` has ended: whoever had all of it has stored it. */
  get isStored(): boolean {
    return this.#isStored
  }

  /** Others need not wait for this process any more. */
  end(): void {
    this.#own?.[Symbol.dispose]()
  }

  /** All bytes, not verified; call it once. `first`: what was opened already. */
  async *read(first: PeerBlob): AsyncGenerator<Uint8Array> {
    const { store, flights, lease, peers } = this.#deps
    const { digest, size, repository, signal } = this.#deps.ask
    this.#size = size ?? first.size
    for (let blob: PeerBlob | undefined = first; ; ) {
      const start = this.#position
      if (blob !== undefined && (yield* this.#through(blob))) return
      // Whoever has nothing to give is not asked again.
      if (this.#position === start) await this.#flight.ended(signal)
      const next = await flights.begin(lease)
      if (next.kind === 'own') {
        this.#own = next
        const stored = await store.stat(digest)
        if (stored === undefined) return yield* this.#fetchRest()
        return yield* store.read(digest, { start: this.#position, end: stored.size })
      }
      this.#flight = next
      const ask = { repository, digest, start: this.#position, signal }
      blob = await follow(next, ask, peers)
    }
  }

  /** True when all of it has come. */
  async *#through(blob: PeerBlob): AsyncGenerator<Uint8Array, boolean> {
    const { peers, ask } = this.#deps
    const { signal } = ask
    const iterator = blob.body[Symbol.asyncIterator]()
    try {
      for (;;) {
        const step = await whileHeld(this.#flight, iterator.next(), peers.silentMs)
        if (step.done) break
        this.#position += step.value.byteLength
        yield step.value
      }
    } catch {
      // Whatever it was, the rest may be had elsewhere.
      signal.throwIfAborted()
      return false
    } finally {
      blob.drop()
    }
    this.#isStored = blob.isStored()
    // Who says nothing is waited for, so that nobody stores it twice.
    if (!this.#isStored) await this.#flight.ended(signal).catch(() => undefined)
    return true
  }

  async *#fetchRest(): AsyncGenerator<Uint8Array> {
    const { upstream, repository, digest, size, signal } = this.#deps.ask
    const start = this.#position
    const end = this.#size
    if (start === end) return
    const range = end === undefined ? undefined : { start, end }
    const how = { signal, ...(range && { range }) }
    const answer = await upstream.blob(repository.name, { digest, size }, how)
    if (answer === undefined) throw vanished(this.#deps.ask)
    let known = range === undefined ? start : 0
    for await (const chunk of answer.body) {
      this.#fetched += chunk.byteLength
      const bytes = chunk.subarray(Math.min(known, chunk.byteLength))
      known -= chunk.byteLength - bytes.byteLength
      if (bytes.byteLength > 0) yield bytes
    }
  }
}

/** What grows where the lease is held; `undefined`: it cannot be followed from here. */
export async function follow(
  flight: OthersFlight,
  ask: PeerAsk,
  peers: Peers,
): Promise<PeerBlob | undefined> {
  const note = await flight.note()
  if (note === undefined || note === '') return undefined
  const silent = new AbortController()
  const signal = AbortSignal.any([ask.signal, silent.signal])
  try {
    return await whileHeld(flight, peers.follow(note, { ...ask, signal }), peers.silentMs)
  } catch (error) {
    silent.abort(error)
    ask.signal.throwIfAborted()
    return undefined
  }
}

/** Waits for as long as it takes, unless somebody who is silent no longer holds the lease, or nobody has said for long that it does. */
async function whileHeld<T>(
  flight: OthersFlight,
  promise: Promise<T>,
  silentMs: number,
): Promise<T> {
  const answered = promise.then((value) => ({ value }))
  answered.catch(() => undefined)
  for (let heardAt = performance.now(); ; ) {
    const answer = await within(answered, silentMs)
    if (answer !== undefined) return answer.value
    const holding = await isHeld(flight)
    if (holding === 'ended') throw new Error('nobody is at it any more')
    if (holding === 'held') heardAt = performance.now()
    if (performance.now() - heardAt > DEAF_LOOKS * silentMs) {
      throw new Error('neither who is at it nor the catalog is heard')
    }
  }
}

/** A catalog that is away says nothing about the holder. */
async function isHeld(flight: OthersFlight): Promise<'held' | 'ended' | 'unknown'> {
  try {
    return (await flight.note()) === undefined ? 'ended' : 'held'
  } catch {
    return 'unknown'
  }
}

function vanished({ upstream, digest }: SourceAsk): CrossdockError {
  return new CrossdockError(
    'upstreamFailed',
    `blob ${digest} of ${upstream.name} vanished while it was being read; pull again`,
    { reason: 'vanished' },
  )
}
