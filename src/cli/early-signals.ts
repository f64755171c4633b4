/** SIGTERM and SIGINT that come while the program is still being loaded: kept until it is known whether the command cares. */

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

type EndSignal = (typeof SIGNALS)[number]

export class EarlySignals {
  readonly #from: NodeJS.Process
  readonly #seen: EndSignal[] = []
  readonly #keep = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGTERM' || signal === 'SIGINT') this.#seen.push(signal)
  }

  constructor(from: NodeJS.Process) {
    this.#from = from
    for (const signal of SIGNALS) from.on(signal, this.#keep)
  }

  /** Those that came, for whoever listens from now on. */
  take(): readonly EndSignal[] {
    for (const signal of SIGNALS) this.#from.off(signal, this.#keep)
    return this.#seen.splice(0)
  }

  /** Nobody listens: they do what they do to any program. */
  letGo(): void {
    for (const signal of this.take()) this.#from.kill(this.#from.pid, signal)
  }
}
