/** One conversion's hold of a slot: how it reads its source, and what it does while nothing comes. */
import { CrossdockError } from '../errors.ts'
import type { Interest } from '../lib/interest.ts'
import { type ByteStream, close } from '../lib/streams.ts'
import { within } from '../lib/within.ts'
import type { GrowingBlob } from '../ports/blobs.ts'

/** Nothing is wrong with it: it may begin again when its source is whole. */
function setBackFailure(): CrossdockError {
  const text =
    'its source came so slowly that its place went to another conversion; pull it again when there is less to do'
  return new CrossdockError('overloaded', text, { reason: SET_BACK })
}

export const SET_BACK = 'set-back'

/** What makes it worth to begin a conversion, or to go on with one: so many bytes of its source more, or all of it. */
export const ENOUGH = 256 * 1024

/** How long conversions keep their slots, ms. */
export interface Patience {
  /** While nothing comes of their source. */
  readonly starvingMs: number
  /** While others wait for a slot. */
  readonly othersMs: number
}

/**
 * `waiting`: for its first slot. `starving`: for its source, without a slot. `resting`: for a slot again, so that others get
 * one.
 */
export type TurnState = 'waiting' | 'running' | 'starving' | 'resting' | 'over'

/** What a turn asks of those who give out the slots. */
interface Desk {
  /** Gives the slot back while the source does not come. */
  starve(turn: Turn): void
  /** Waits for a slot, unless there is one. */
  resume(turn: Turn): Promise<void>
  /** Lets others have the slot, if it is their turn. */
  rest(turn: Turn): Promise<void>
}

export interface SlotTask {
  readonly upstream: string
  /** Whoever waits for it: their turns bring it its slot. */
  readonly interest: Interest
  /** Its source is there, so that it never waits for it. */
  readonly isWhole?: boolean
}

export class Turn {
  readonly task: SlotTask
  state: TurnState = 'waiting'
  /** In whose lines it stands, or whose place it has once it has begun. */
  clients: (string | undefined)[] = []
  /** Bytes of the source that were read. */
  received = 0
  #since = 0
  #isSetBack = false
  readonly #desk: Desk
  readonly #patience: Patience
  readonly #setBack = Promise.withResolvers<never>()
  #started = Promise.withResolvers<void>()

  constructor(task: SlotTask, desk: Desk, patience: Patience) {
    this.task = task
    this.#patience = patience
    this.#desk = desk
    this.#setBack.promise.catch(() => undefined)
  }

  /** True when its place went to another conversion. */
  get isSetBack(): boolean {
    return this.#isSetBack
  }

  /** The source of the conversion; the slot is given back while nothing comes of it, and when it is others' turn. */
  async *read(bytes: ByteStream, growing: GrowingBlob | undefined): AsyncGenerator<Uint8Array> {
    const iterator = bytes[Symbol.asyncIterator]()
    const isThere = growing === undefined || this.task.isWhole
    let position = 0
    let pull: Promise<IteratorResult<Uint8Array>> | undefined
    try {
      for (;;) {
        pull = iterator.next()
        const step = await (isThere ? pull : this.#await(pull, growing, position))
        pull = undefined
        if (step.done) return
        position += step.value.byteLength
        this.received = Math.max(this.received, position)
        await this.#desk.rest(this)
        yield step.value
      }
    } finally {
      await close(iterator, pull)
    }
  }

  /** Resolves when it has a slot. */
  get started(): Promise<void> {
    return this.#started.promise
  }

  /** True when it has had its slot for long enough to let others have it. */
  get hasHadEnough(): boolean {
    return performance.now() - this.#since >= this.#patience.othersMs
  }

  /** Waits for a slot again. */
  rest(): void {
    this.state = 'resting'
    this.#started = Promise.withResolvers()
  }

  start(client: string | undefined): void {
    this.state = 'running'
    this.clients = [client]
    this.#since = performance.now()
    this.#started.resolve()
  }

  /** Its conversion is over; a source that is still being read ahead waits for no slot. */
  end(): void {
    this.state = 'over'
    this.#started.resolve()
  }

  /** Ends the conversion in favour of another one. */
  setBack(): void {
    this.#isSetBack = true
    this.#setBack.reject(setBackFailure())
  }

  async #await(
    pull: Promise<IteratorResult<Uint8Array>>,
    growing: GrowingBlob,
    position: number,
  ): Promise<IteratorResult<Uint8Array>> {
    const step = await within(pull, this.#patience.starvingMs)
    if (step !== undefined) return step
    this.#desk.starve(this)
    const enough = Promise.all([pull, arrival(growing, position + ENOUGH)])
    await Promise.race([enough, this.#setBack.promise])
    await this.#desk.resume(this)
    return await pull
  }
}

/** Waits until a blob has grown to so many bytes, or to its end; throws what it fails with. */
export async function arrival(growing: GrowingBlob, size: number): Promise<void> {
  for await (const _ of growing.read({ start: size - 1, end: size })) return
}
