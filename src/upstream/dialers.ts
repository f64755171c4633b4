/** Every dialer that is in use, so that all of them can be closed: those of upstreams that were replaced serve what is under way. */
import { Dialer, type DialerSettings } from './dialer.ts'
import { OpenBodies } from './open-bodies.ts'

export class Dialers implements AsyncDisposable {
  readonly #bodies = new OpenBodies()
  /** Whoever uses one holds it. */
  #open: WeakRef<Dialer>[] = []

  create(settings: DialerSettings): Dialer {
    const dialer = new Dialer(settings, this.#bodies)
    this.#open = this.#open.filter((one) => one.deref() !== undefined)
    this.#open.push(new WeakRef(dialer))
    return dialer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open.map((one) => one.deref()?.[Symbol.asyncDispose]()))
  }
}
