/** `store-process.ts` as a child process, to be killed. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

const SCRIPT = new URL('./store-process.ts', import.meta.url).pathname

export class StoreProcess {
  /** The exit code; null when it was killed. */
  readonly ended: Promise<number | null>
  readonly #child: ChildProcessByStdio<null, Readable, null>
  readonly #lines: AsyncIterator<string>

  private constructor(child: ChildProcessByStdio<null, Readable, null>) {
    this.#child = child
    this.ended = once(child, 'exit').then(([code]) => code as number | null)
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  static start(data: string, ...args: string[]): StoreProcess {
    const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit']
    return new StoreProcess(spawn(process.execPath, [SCRIPT, data, ...args], { stdio }))
  }

  async says(start: string): Promise<void> {
    await this.saysTimes(start, 1)
  }

  async saysTimes(start: string, times: number): Promise<string[]> {
    const found: string[] = []
    while (found.length < times) {
      const { value, done } = await this.#lines.next()
      if (done) throw new Error(`the child ended before it said ${start}`)
      if (value.startsWith(start)) found.push(value)
    }
    return found
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended
  }
}
