/** Pins as a journal beside the sidecars: appended to, never rewritten, so that commands beside a server need no lock. */
import { isSamePin, type Pin, type Pins } from '../ports/pins.ts'
import type { Proofs } from './proofs.ts'

export class FsPins implements Pins {
  readonly #proofs: Proofs

  constructor(proofs: Proofs) {
    this.#proofs = proofs
  }

  async list(): Promise<readonly Pin[]> {
    const pins = new Map<string, Pin>()
    for await (const { upstream, name, reference, isPinned } of this.#proofs.listPins()) {
      const key = `${upstream} ${name} ${reference}`
      if (isPinned) pins.set(key, { upstream, name, reference })
      else pins.delete(key)
    }
    return [...pins.values()]
  }

  async add(pin: Pin): Promise<void> {
    if (!(await this.#isPinned(pin))) await this.#proofs.addPin(pin, true)
  }

  async remove(pin: Pin): Promise<boolean> {
    const isPinned = await this.#isPinned(pin)
    if (isPinned) await this.#proofs.addPin(pin, false)
    return isPinned
  }

  async #isPinned(pin: Pin): Promise<boolean> {
    return (await this.list()).some((one) => isSamePin(one, pin))
  }
}
