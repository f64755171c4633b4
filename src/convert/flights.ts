/**
 * Conversions of whole images under way: so many and no more, a share of them for each client, and an end for those that nobody
 * waits for and that hardly move when others want their place.
 */
import { Interest, type Waiter } from '../lib/interest.ts'
import { live } from '../lib/live.ts'
import { Shares } from '../lib/shares.ts'
import type { Clock } from '../ports/clock.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import { abandoned } from '../pull/downloads.ts'
import type { Job } from './progress.ts'

export type Outcome =
  | { readonly kind: 'converted'; readonly image: ConvertedImage; readonly isHit: boolean }
  | {
      readonly kind: 'original'
      readonly reason: string
      /** For people, where the reason alone does not say it. */
      readonly why?: string
    }

export interface ImageFlight {
  /** Content-Type of the answer, known before its layers are converted. Never unhandled. */
  readonly mediaType: Promise<string>
  readonly result: Promise<Outcome>
}

/** What the work itself says of it. */
export interface FlightWork {
  /** Whoever waits for it. */
  readonly interest: Interest
  readonly tellMediaType: (mediaType: string) => void
  /** Set as soon as there is one. */
  job?: Job
}

interface Flight extends ImageFlight {
  readonly work: FlightWork
  /** Whose share it is of. */
  readonly client: string
  /** Monotonic ms. */
  readonly began: number
  readonly giveUp: (cause: Error) => void
  isOver: boolean
}

/** Whoever left is back in this time, or is not waited for: clients ask by HEAD first and by GET then. */
const AWAY_MS = 5_000

export interface FlightCapacity {
  /** Conversions at a time, running or waiting; one more is refused. */
  readonly maxFlights: number
  /** Bytes a second read and written, below which one that nobody waits for gives up its place. */
  readonly abandonedRate: number
}

export class Flights {
  readonly #clock: Clock
  readonly #capacity: FlightCapacity
  readonly #places: Shares
  readonly #flights = new Map<string, Flight>()

  constructor(deps: { readonly clock: Clock; readonly capacity: FlightCapacity }) {
    this.#clock = deps.clock
    const { capacity } = deps
    this.#capacity = capacity
    this.#places = new Shares(
      live(() => ({ total: capacity.maxFlights, each: Math.ceil(capacity.maxFlights / 2) })),
    )
  }

  join(key: string, by: Waiter | undefined): ImageFlight | undefined {
    const flight = this.#flights.get(key)
    if (by !== undefined) flight?.work.interest.add(by)
    return flight
  }

  /** `undefined`: there is no place for it. */
  begin(
    key: string,
    by: Waiter | undefined,
    run: (work: FlightWork) => Promise<Outcome>,
  ): ImageFlight | undefined {
    // What no client waits for is nobody's share.
    const client = by?.client ?? key
    if (!this.#admit(client)) return undefined
    const interest = new Interest(() => this.#clock.monotonic())
    if (by !== undefined) interest.add(by)
    const mediaType = Promise.withResolvers<string>()
    mediaType.promise.catch(() => undefined)
    const end = Promise.withResolvers<never>()
    const work: FlightWork = { interest, tellMediaType: mediaType.resolve }
    const result = Promise.race([run(work), end.promise])
    const began = this.#clock.monotonic()
    const giveUp = end.reject
    const flight = {
      mediaType: mediaType.promise,
      result,
      work,
      client,
      began,
      giveUp,
      isOver: false,
    }
    this.#flights.set(key, flight)
    result
      .catch(mediaType.reject)
      .finally(() => this.#end(key, flight))
      .catch(() => undefined)
    return flight
  }

  #admit(client: string): boolean {
    const admission = this.#places.admit(client)
    if (admission === 'admitted') return true
    const now = this.#clock.monotonic()
    const [slowest] = [...this.#flights]
      .filter(([, flight]) => admission === 'full' || flight.client === client)
      .filter(([, { work }]) => now - (work.interest.awaySince ?? now) >= AWAY_MS)
      .map(([key, flight]) => ({ key, flight, rate: rateOf(flight, now) }))
      .filter(({ rate }) => rate < this.#capacity.abandonedRate)
      .toSorted((a, b) => a.rate - b.rate)
    if (slowest === undefined) return false
    slowest.flight.giveUp(
      abandoned('nobody waits for this conversion and others wait for its place'),
    )
    this.#end(slowest.key, slowest.flight)
    return this.#places.admit(client) === 'admitted'
  }

  #end(key: string, flight: Flight): void {
    if (flight.isOver) return
    flight.isOver = true
    this.#flights.delete(key)
    this.#places.leave(flight.client)
    flight.work.interest.end()
  }
}

/** Bytes read and written a second. */
function rateOf({ work, began }: Flight, now: number): number {
  const bytes = (work.job?.layers ?? []).reduce(
    (sum, { received, written }) => sum + received + written,
    0,
  )
  return (bytes / Math.max(1, now - began)) * 1000
}
