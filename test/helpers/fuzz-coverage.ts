/** Which blocks of src/ have run, as V8 counts them: tells an input that goes a new way from one that does not. */
import { Session } from 'node:inspector/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const SOURCES = `${pathToFileURL(resolve(import.meta.dirname, '../../src')).href}/`

export class Coverage implements Disposable {
  readonly #session = new Session()
  readonly #seen = new Set<string>()

  #isOn = false

  async start(): Promise<void> {
    this.#isOn = true
    this.#session.connect()
    await this.#session.post('Profiler.enable')
    await this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** Code is fast again; there is nothing more to take. */
  async stop(): Promise<void> {
    if (!this.#isOn) return
    this.#isOn = false
    await this.#session.post('Profiler.stopPreciseCoverage')
  }

  get size(): number {
    return this.#seen.size
  }

  /** Blocks that have run since the last call, and how often, as a power of two. */
  async take(): Promise<ReadonlySet<string>> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage')
    const found = new Set<string>()
    for (const { url, functions } of result) {
      if (!url.startsWith(SOURCES)) continue
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          if (count > 0) found.add(`${url.slice(SOURCES.length)} ${startOffset}-${endOffset}`)
        }
      }
    }
    return found
  }

  isNew(found: ReadonlySet<string>): boolean {
    return [...found].some((one) => !this.#seen.has(one))
  }

  /** True when there was something new. */
  add(found: ReadonlySet<string>): boolean {
    const before = this.#seen.size
    for (const one of found) this.#seen.add(one)
    return this.#seen.size > before
  }

  [Symbol.dispose](): void {
    this.#session.disconnect()
  }
}
