/**
 * Ranges far ahead of a download: fetched by upstream requests of their own, few and shared, or else out of the download when it
 * gets there.
 */
import { Semaphore } from '../lib/semaphore.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { ByteRange, GrowingBlob } from '../ports/blobs.ts'
import type { Pace } from './pace.ts'
import { Window } from './window.ts'

/** How far ahead of a download a range may lie at least before it gets an upstream request of its own; bytes. */
const AHEAD = 8 * 1024 * 1024

/** A download that will be there within this time is waited for, seconds. */
const SOON_SECONDS = 2

/** A smaller range is fetched with what lies around it, for those who ask for the next one; bytes. */
const SMALL = 512 * 1024

/** Requests for one blob beside its download at a time, of either size. */
const PER_BLOB = 4

/** Pieces of one blob that are on their way or wait for that. */
const PENDING_PER_BLOB = 16

/** Requests for one blob beside its download, ever. */
const PER_BLOB_IN_ALL = 32

/** Large ranges of all blobs on their way at a time, and pieces of blobs in memory. */
const TOGETHER = 32

/** Asks upstream for a range; `undefined`: it is not there. */
export type FetchRange = (range: ByteRange) => Promise<ByteStream | undefined>

/** What all downloads share. */
export class AheadBudget {
  #passing = 0
  /** Oldest first. */
  readonly #windows = new Set<Window>()

  get mayPass(): boolean {
    return this.#passing < TOGETHER
  }

  /** Makes room for one more piece in memory; false when all are in use. */
  keep(window: Window): boolean {
    if (this.#windows.size >= TOGETHER) {
      const idle = [...this.#windows].find((one) => !one.isInUse)
      if (idle === undefined) return false
      this.drop(idle)
    }
    this.#windows.add(window)
    return true
  }

  drop(window: Window): void {
    window.isDropped = true
    this.#windows.delete(window)
  }

  begin(): void {
    this.#passing += 1
  }

  end(): void {
    this.#passing -= 1
  }
}

/** The ranges ahead of one download. */
export class Ahead {
  readonly #budget: AheadBudget
  readonly #growing: GrowingBlob
  readonly #size: number
  readonly #pace: Pace
  readonly #filling = new Semaphore(PER_BLOB)
  #windows: Window[] = []
  #pending = 0
  #passing = 0
  #fetched = 0

  constructor(budget: AheadBudget, growing: GrowingBlob, size: number, pace: Pace) {
    this.#budget = budget
    this.#growing = growing
    this.#size = size
    this.#pace = pace
    const forget = () => {
      for (const window of this.#windows) budget.drop(window)
      this.#windows = []
    }
    growing.verified.then(forget, forget)
  }

  /** Reads a range as soon as it can be had; out of the download from where the request beside it fails. */
  async *read(range: ByteRange, fetch: FetchRange): AsyncGenerator<Uint8Array> {
    let position = range.start
    try {
      for await (const chunk of this.#ahead(range, fetch)) {
        position += chunk.byteLength
        yield chunk
      }
    } catch {
      // What is wrong with the upstream, the download meets as well, and says.
    }
    if (position < range.end) yield* this.#growing.read({ start: position, end: range.end })
  }

  #ahead(range: ByteRange, fetch: FetchRange): ByteStream {
    if (!this.#isFar(range.start)) return nothing()
    const { start, end } = range
    const window = this.#windows.find((one) => one.start <= start && end <= one.end)
    if (window !== undefined && !window.isDropped) return window.read(range)
    if (this.#fetched >= PER_BLOB_IN_ALL) return nothing()
    if (end - start <= SMALL) return this.#open(range, fetch)?.read(range) ?? nothing()
    return this.#passing < PER_BLOB && this.#budget.mayPass ? this.#pass(range, fetch) : nothing()
  }

  #isFar(start: number): boolean {
    const gap = start - this.#growing.received
    return gap > AHEAD && gap > this.#pace.rate * SOON_SECONDS
  }

  /** The piece of the blob around a small range. */
  #open(range: ByteRange, fetch: FetchRange): Window | undefined {
    const around = {
      start: Math.floor(range.start / SMALL) * SMALL,
      end: Math.min(Math.ceil(range.end / SMALL) * SMALL, this.#size),
    }
    const window = new Window(around)
    if (this.#pending >= PENDING_PER_BLOB || !this.#budget.keep(window)) return undefined
    this.#windows = [...this.#windows.filter((one) => !one.isDropped), window]
    this.#fetched += 1
    this.#pending += 1
    this.#filling
      .run(() => window.fill(this.#piece(around, fetch)))
      .catch(() => this.#budget.drop(window))
      .finally(() => {
        this.#pending -= 1
      })
    return window
  }

  /** Nothing when the download has got there first. */
  async *#piece(range: ByteRange, fetch: FetchRange): AsyncGenerator<Uint8Array> {
    if (range.end > this.#growing.received) yield* (await fetch(range)) ?? nothing()
  }

  /** A large range, for its reader alone. */
  async *#pass(range: ByteRange, fetch: FetchRange): AsyncGenerator<Uint8Array> {
    this.#passing += 1
    this.#fetched += 1
    this.#budget.begin()
    try {
      yield* (await fetch(range)) ?? nothing()
    } finally {
      this.#passing -= 1
      this.#budget.end()
    }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
