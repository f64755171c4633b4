/** Workers that are no processes: what a supervisor starts and says, and what they say and do in turn. */
import { vi } from 'vitest'
import { CONFIG, type Config } from '../../src/config/schema.ts'
import type { Channel, Child, Ending } from '../../src/workers/child.ts'
import type { FromWorker, ToWorker } from '../../src/workers/words.ts'

export class FakeWorker implements Child {
  readonly pid: number
  readonly ended: Promise<Ending>
  /** In order. */
  readonly heard: ToWorker[] = []
  /** What a worker's own program speaks by. */
  readonly channel: Channel
  isKilled = false
  isDealt = true
  /** Its event loop does nothing any more. */
  isStuck = false
  #isLate = false
  readonly #end = Promise.withResolvers<Ending>()
  #hear: (message: FromWorker) => void = () => undefined
  #told: (message: ToWorker) => void = ({ kind }) => {
    if (kind === 'ping') this.say({ kind: 'alive' })
  }

  constructor(pid: number) {
    this.pid = pid
    this.ended = this.#end.promise
    this.channel = {
      send: (message) => this.say(message),
      onMessage: (hear) => {
        this.#told = hear
      },
    }
  }

  send(message: ToWorker): void {
    if (this.isStuck) return
    this.heard.push(message)
    this.#told(structuredClone(message))
  }

  onMessage(hear: (message: FromWorker) => void): void {
    this.#hear = hear
  }

  deal(isDealt: boolean): void {
    this.isDealt = isDealt
  }

  kill(): void {
    this.isKilled = true
    if (!this.#isLate) this.end({ code: null, signal: 'SIGKILL' })
  }

  /** The kernel takes its time: `kill` does not end it, but `end` does. */
  diesLate(): void {
    this.#isLate = true
  }

  say(message: FromWorker): void {
    this.#hear(structuredClone(message))
  }

  end(ending: Ending): void {
    this.#end.resolve(ending)
  }

  /** Comes up. */
  serve(): void {
    this.say({ kind: 'hello' })
    this.say({ kind: 'ready', start: { facts: { pid: this.pid }, greeting: `of ${this.pid}` } })
  }

  heardOf<K extends ToWorker['kind']>(kind: K): readonly Extract<ToWorker, { kind: K }>[] {
    return this.heard.filter((one): one is Extract<ToWorker, { kind: K }> => one.kind === kind)
  }
}

export class FakeWorkers {
  readonly all: FakeWorker[] = []
  readonly fork = (): Child => {
    const worker = new FakeWorker(this.all.length + 1)
    this.all.push(worker)
    return worker
  }

  at(index: number): FakeWorker {
    const worker = this.all[index]
    if (worker === undefined) throw new Error(`there is no worker ${index} yet`)
    return worker
  }
}

/** Of a supervisor. */
export function fakeEvents() {
  return {
    ...{ died: vi.fn(), replaced: vi.fn(), damaged: vi.fn() },
    ...{ reloaded: vi.fn(), reloadMissed: vi.fn(), reloadRefused: vi.fn() },
  }
}

export function configWith(more: object = {}): Config {
  const parsed = CONFIG.parse({ workers: 2, ...more })
  return { ...parsed, convert: { ...parsed.convert, defaultPlatforms: ['linux/amd64'] } }
}
