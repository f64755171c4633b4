/**
 * Live state for any number of viewers: read and written as text once a tick for all of them, told where it has changed, and not
 * read at all while nobody looks.
 */
import { printableJson } from '../lib/printable.ts'

export interface BroadcastDeps {
  /** The parts of the state by name. */
  readonly read: () => Promise<Readonly<Record<string, object>>>
  readonly everyMs: number
  /** How long nothing may be said, lest somebody between takes the connection for dead, ms. */
  readonly quietMs: number
}

/** One who looks: what is still to be told, of each part the newest alone. */
interface Viewer {
  readonly news: Map<string, Uint8Array>
  wake: () => void
}

const PING = Buffer.from(': nothing new\n\n')

export class Broadcast {
  readonly #deps: BroadcastDeps
  readonly #viewers = new Set<Viewer>()
  /** As they were told last. */
  readonly #texts = new Map<string, string>()
  readonly #frames = new Map<string, Uint8Array>()
  #timer: NodeJS.Timeout | undefined
  #isReading = false

  constructor(deps: BroadcastDeps) {
    this.#deps = deps
  }

  get viewers(): number {
    return this.#viewers.size
  }

  /** Server-sent events (HTML, section 9.2) until `signal` says that it is over: all parts first, then each that changes. */
  async *watch(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const viewer: Viewer = { news: new Map(this.#frames), wake: () => undefined }
    const wake = () => viewer.wake()
    signal.addEventListener('abort', wake)
    this.#viewers.add(viewer)
    if (this.#viewers.size === 1) void this.#tick()
    try {
      while (!signal.aborted) {
        const [next] = viewer.news
        if (next !== undefined) {
          viewer.news.delete(next[0])
          yield next[1]
        } else if (await this.#isQuiet(viewer)) yield PING
      }
    } finally {
      signal.removeEventListener('abort', wake)
      this.#viewers.delete(viewer)
      if (this.#viewers.size === 0) this.#rest()
    }
  }

  #isQuiet(viewer: Viewer): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#deps.quietMs, true)
      viewer.wake = () => {
        clearTimeout(timer)
        resolve(false)
      }
    })
  }

  async #tick(): Promise<void> {
    clearTimeout(this.#timer)
    if (this.#isReading) return
    this.#isReading = true
    try {
      const parts = await this.#deps.read()
      if (this.#viewers.size > 0) this.#tell(parts)
    } catch {
      // The catalog may be in repair: the next tick tells.
    } finally {
      this.#isReading = false
    }
    if (this.#viewers.size > 0) {
      this.#timer = setTimeout(() => void this.#tick(), this.#deps.everyMs)
    }
  }

  #tell(parts: Readonly<Record<string, object>>): void {
    for (const [name, part] of Object.entries(parts)) {
      const text = printableJson(part)
      if (this.#texts.get(name) === text) continue
      const frame = Buffer.from(`event: ${name}\ndata: ${text}\n\n`)
      this.#texts.set(name, text)
      this.#frames.set(name, frame)
      for (const viewer of this.#viewers) {
        viewer.news.set(name, frame)
        viewer.wake()
      }
    }
  }

  /** What was told last is old by the time that somebody looks again. */
  #rest(): void {
    clearTimeout(this.#timer)
    this.#texts.clear()
    this.#frames.clear()
  }
}
