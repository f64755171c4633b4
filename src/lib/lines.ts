/** Lines of a log for a reader who may be slow, stuck or gone: none is waited for, kept without end, or died with. */

/** What `Lines` needs of a Node stream, whose errors somebody else listens to. */
export interface LineStream {
  /** What has been written and not been taken. */
  readonly writableLength: number
  write(line: string, done: (error?: Error | null) => void): unknown
}

export interface LineSink {
  write(line: string): void
  /** Lines that nobody took, so far. */
  readonly lost?: number
  /** Called when lines are taken again, with how many were lost since the last call. */
  onTakenAgain?(listener: (lost: number) => void): void
}

const MAX_PENDING = 1024 * 1024

export class Lines implements LineSink {
  lost = 0
  #told = 0
  #listener: ((lost: number) => void) | undefined
  readonly #stream: LineStream
  readonly #maxPending: number

  constructor(stream: LineStream, maxPending = MAX_PENDING) {
    this.#stream = stream
    this.#maxPending = maxPending
  }

  write(line: string): void {
    if (this.#stream.writableLength + line.length > this.#maxPending) {
      this.lost += 1
      return
    }
    this.#stream.write(line, (error) => {
      if (error) this.lost += 1
      else this.#taken()
    })
  }

  onTakenAgain(listener: (lost: number) => void): void {
    this.#listener = listener
  }

  /** Half of what may wait must be gone first, else the news would be lost as well. */
  #taken(): void {
    if (this.lost === this.#told || this.#stream.writableLength > this.#maxPending / 2) return
    const lost = this.lost - this.#told
    this.#told = this.lost
    this.#listener?.(lost)
  }
}
