/** Leases and notices within one process: the model that the engines are held to. */
import type { Notice, Notices } from '../../src/ports/leases.ts'
import { NoticeBoard } from '../../src/store/notice-board.ts'
import type { LeaseTable } from '../../src/store/table-leases.ts'

interface Row {
  readonly token: number
  readonly holder: string
  readonly endsAt: number
}

export class MemoryLeaseTable implements LeaseTable {
  readonly #rows = new Map<string, Row>()
  /** The engine's clock, ms. */
  now: () => number = () => performance.now() + this.passed
  passed = 0
  /** The largest token of those that were forgotten. */
  #floor = 0

  get size(): number {
    return this.#rows.size
  }

  async take(name: string, holder: string, ttlMs: number): Promise<number | undefined> {
    this.#forget()
    const known = this.#rows.get(name)
    const isOwn = known?.holder === holder
    if (known !== undefined && known.endsAt > this.now() && !isOwn) return undefined
    const token = isOwn ? known.token : (known?.token ?? this.#floor) + 1
    this.#rows.set(name, { token, holder, endsAt: this.now() + ttlMs })
    return token
  }

  async extend(name: string, token: number, ttlMs: number): Promise<boolean> {
    const held = this.#held(name, token)
    if (held !== undefined) this.#rows.set(name, { ...held, endsAt: this.now() + ttlMs })
    return held !== undefined
  }

  async end(name: string, token: number): Promise<boolean> {
    const held = this.#held(name, token)
    if (held !== undefined) this.#rows.set(name, { token, holder: '', endsAt: 0 })
    return held !== undefined
  }

  async find(name: string) {
    const row = this.#rows.get(name)
    if (row === undefined || row.endsAt <= this.now()) return undefined
    return { token: row.token, holder: row.holder, leftMs: row.endsAt - this.now() }
  }

  #forget(): void {
    for (const [name, { token, endsAt }] of this.#rows) {
      if (endsAt > this.now()) continue
      this.#floor = Math.max(this.#floor, token)
      this.#rows.delete(name)
    }
  }

  #held(name: string, token: number): Row | undefined {
    const row = this.#rows.get(name)
    return row !== undefined && row.token === token && row.endsAt > this.now() ? row : undefined
  }
}

export class MemoryNotices implements Notices {
  readonly #board = new NoticeBoard()

  async publish(topic: string, text: string): Promise<void> {
    this.#board.tell(topic, text)
  }

  async subscribe(topic: string, told: (notice: Notice) => void): Promise<Disposable> {
    return this.#board.add(topic, told)
  }
}
