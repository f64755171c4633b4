/**
 * Slots for conversions, held only while there is something to do: a conversion whose source does not come gives its slot back
 * and waits for one again. Clients and upstreams take turns, and whoever has had a slot for long gives it up to the others.
 */
import { FairQueue } from '../lib/fair-semaphore.ts'
import { type Patience, type SlotTask, Turn } from './turn.ts'

/** Pieces of a sound download are not as far apart as a source that starves its conversion. */
const PATIENCE: Patience = { starvingMs: 50, othersMs: 500 }

/** Conversions that may have begun, for each slot: they take memory, even where they wait for their source or their turn. */
const BEGUN_PER_SLOT = 3

/** Line of those that have begun, so that none of their client's new ones stands before them. */
const BEGUN = ''

export type SlotResult<T> =
  | { readonly kind: 'done'; readonly value: T }
  /** Its source came so slowly that others got its place; it may begin again when the source is whole. */
  | { readonly kind: 'set-back' }

export class Slots {
  readonly #capacity: { readonly jobs: number }
  readonly #queue = new FairQueue<Turn>()
  /** In the queue, where each stands once for each of its clients. */
  readonly #queued = new Set<Turn>()
  /** Turns that have had a slot and are not over. */
  readonly #begun = new Set<Turn>()
  readonly #patience: Patience
  #running = 0
  #lent = 0
  #wanted = 0
  #onWanted: (count: number) => void = () => undefined

  /** `jobs`: how many there are; more or fewer from the next one on that begins or ends. */
  constructor(capacity: { readonly jobs: number }, patience = PATIENCE) {
    this.#capacity = capacity
    this.#patience = patience
  }

  /** Runs `work` when there is a slot; it reads its source by the turn. */
  async run<T>(task: SlotTask, work: (turn: Turn) => Promise<T>): Promise<SlotResult<T>> {
    const desk = {
      starve: (one: Turn) => this.#starve(one),
      resume: (one: Turn) => this.#resume(one),
      rest: (one: Turn) => this.#rest(one),
    }
    const turn = new Turn(task, desk, this.#patience)
    this.#enter(turn)
    await turn.started
    try {
      return { kind: 'done', value: await work(turn) }
    } catch (error) {
      if (turn.isSetBack) return { kind: 'set-back' }
      throw error
    } finally {
      this.#end(turn)
    }
  }

  /** So many beyond its own, until another number is said: others do not need them. */
  lend(count: number): void {
    this.#lent = count
    this.#serve()
  }

  /** Calls `listener` with how many slots could be used, whenever that is another number. */
  onWanted(listener: (count: number) => void): void {
    this.#onWanted = listener
  }

  /** Conversions that wait for a slot. */
  get queued(): number {
    return this.#queue.size
  }

  #enter(turn: Turn): void {
    turn.task.interest.onClient((client) => {
      if (turn.state !== 'waiting') return
      turn.clients.push(client)
      this.#push(turn, client, turn.task.upstream)
      this.#serve()
    })
  }

  #starve(turn: Turn): void {
    if (turn.state !== 'running') return
    turn.state = 'starving'
    this.#running -= 1
    this.#serve()
  }

  async #resume(turn: Turn): Promise<void> {
    if (turn.state === 'starving') {
      turn.rest()
      for (const client of turn.clients) this.#push(turn, client, BEGUN)
      this.#serve()
    }
    await turn.started
  }

  async #rest(turn: Turn): Promise<void> {
    if (turn.state !== 'running' || !turn.hasHadEnough) return
    const isOthersTurn = this.#queue.hasOthers(turn.clients[0], turn.task.upstream)
    // Fewer by now: what was lent is wanted back, or the configuration says so.
    if (!isOthersTurn && this.#running <= this.#jobs) return
    turn.rest()
    this.#running -= 1
    for (const client of turn.clients) this.#push(turn, client, BEGUN)
    this.#serve()
    await turn.started
  }

  #end(turn: Turn): void {
    if (turn.state === 'running') this.#running -= 1
    this.#leaveQueue(turn)
    turn.end()
    this.#begun.delete(turn)
    this.#serve()
  }

  #serve(): void {
    while (this.#running < this.#jobs) {
      const next = this.#queue.shift((turn, client) => this.#fits(turn, client))
      if (next === undefined) break
      this.#leaveQueue(next.item)
      this.#begun.add(next.item)
      this.#running += 1
      next.item.start(next.client)
    }
    if (this.#running < this.#jobs && this.#queue.size > 0) this.#setOneBack()
    this.#tellWanted()
  }

  #tellWanted(): void {
    const wanted = this.#running + this.#queued.size
    if (wanted === this.#wanted) return
    this.#wanted = wanted
    this.#onWanted(wanted)
  }

  #push(turn: Turn, client: string | undefined, line: string): void {
    this.#queue.push(client, line, turn)
    this.#queued.add(turn)
  }

  #leaveQueue(turn: Turn): void {
    this.#queued.delete(turn)
    const line = turn.state === 'waiting' ? turn.task.upstream : BEGUN
    for (const client of turn.clients) this.#queue.remove(client, line, turn)
  }

  #fits(turn: Turn, client: string | undefined): boolean {
    if (this.#begun.has(turn)) return true
    if (this.#begun.size >= this.#mostBegun) return false
    const own = [...this.#begun].filter((one) => one.clients[0] === client)
    return own.length < Math.ceil(this.#mostBegun / 2)
  }

  /** One conversion that waits for its source makes room for one whose source is there. */
  #setOneBack(): void {
    const begun = [...this.#begun]
    // One after the other: this may be all the room that is wanted.
    if (begun.some((turn) => turn.isSetBack)) return
    const isFull = begun.length >= this.#mostBegun
    const [victim] = begun
      .filter((turn) => turn.state === 'starving')
      .filter((turn) => isFull || this.#queue.waiting(turn.clients[0]) > 0)
      .toSorted((a, b) => wantOf(a) - wantOf(b) || a.received - b.received)
    victim?.setBack()
  }

  get #jobs(): number {
    return this.#capacity.jobs + this.#lent
  }

  get #mostBegun(): number {
    return this.#jobs * BEGUN_PER_SLOT
  }
}

function wantOf({ task }: Turn): number {
  return task.interest.isWanted ? 1 : 0
}
