/** Pins as facts of the journal: told, never rewritten, so that commands beside a server need no lock. */
import type { Journal } from '../ports/journal.ts'
import { isSamePin, type Pin, type Pins } from '../ports/pins.ts'

export class JournalPins implements Pins {
  readonly #journal: Journal

  constructor(journal: Journal) {
    this.#journal = journal
  }

  async list(): Promise<readonly Pin[]> {
    const pins: Pin[] = []
    for await (const pin of this.#journal.listPins()) pins.push(pin)
    return pins
  }

  async add(pin: Pin): Promise<void> {
    if (!(await this.#isPinned(pin))) await this.#journal.pin(pin, true)
  }

  async remove(pin: Pin): Promise<boolean> {
    const isPinned = await this.#isPinned(pin)
    if (isPinned) await this.#journal.pin(pin, false)
    return isPinned
  }

  async #isPinned(pin: Pin): Promise<boolean> {
    return (await this.list()).some((one) => isSamePin(one, pin))
  }
}
