/** Somebody who waits until the test says so. */
import { Interest, type Waiter } from '../../src/lib/interest.ts'

export class TestWaiter implements Waiter {
  readonly client: string | undefined
  readonly #listeners: (() => void)[] = []
  #hasLeft = false

  constructor(client: string | undefined) {
    this.client = client
  }

  whenGone(listener: () => void): void {
    if (this.#hasLeft) listener()
    else this.#listeners.push(listener)
  }

  leave(): void {
    this.#hasLeft = true
    for (const listener of this.#listeners.splice(0)) listener()
  }
}

/** Work that these clients wait for. */
export function wantedBy(...clients: readonly (string | undefined)[]): Interest {
  const interest = new Interest(() => performance.now())
  for (const client of clients) interest.add(new TestWaiter(client))
  return interest
}
