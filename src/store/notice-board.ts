/** Who in this process listens to which topic. Nobody's failure keeps a notice from the others, or reaches who tells it. */
import type { Notice } from '../ports/leases.ts'

type Told = (notice: Notice) => void

export class NoticeBoard {
  readonly #byTopic = new Map<string, Set<Told>>()

  get isEmpty(): boolean {
    return this.#byTopic.size === 0
  }

  add(topic: string, told: Told): Disposable {
    // Two subscriptions of one function are two.
    const own: Told = (notice) => told(notice)
    const others = this.#byTopic.get(topic) ?? new Set()
    this.#byTopic.set(topic, others.add(own))
    return {
      [Symbol.dispose]: () => {
        others.delete(own)
        if (others.size === 0 && this.#byTopic.get(topic) === others) this.#byTopic.delete(topic)
      },
    }
  }

  tell(topic: string, text: string): void {
    tellAll(this.#byTopic.get(topic) ?? [], { kind: 'told', text })
  }

  /** Everybody may have missed something. */
  gap(): void {
    for (const all of this.#byTopic.values()) tellAll(all, { kind: 'gap' })
  }
}

function tellAll(all: Iterable<Told>, notice: Notice): void {
  for (const told of all) {
    try {
      told(notice)
    } catch {
      // Whoever tells is a connection or a timer, and has nobody to say it to: thrown there it would end the process. A notice is a hint
      // that may get lost, so who has missed one looks for itself.
    }
  }
}
