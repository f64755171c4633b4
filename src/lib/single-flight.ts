/** Many askers, one piece of work. */

/** Shares one promise a key while it is pending; a finished one is forgotten. */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Promise<T>>()

  run(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#flights.get(key)
    if (running !== undefined) return running
    const flight = work().finally(() => this.#flights.delete(key))
    this.#flights.set(key, flight)
    return flight
  }

  get size(): number {
    return this.#flights.size
  }
}
