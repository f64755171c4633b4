/** Who in this process listens to which topic. */
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
    for (const told of this.#byTopic.get(topic) ?? []) told({ kind: 'told', text })
  }

  /** Everybody may have missed something. */
  gap(): void {
    for (const all of this.#byTopic.values()) for (const told of all) told({ kind: 'gap' })
  }
}
