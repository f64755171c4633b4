/** A worker process as its supervisor has it, and the line between both. */
import type { FromWorker, ToWorker } from './words.ts'

/** How a process has ended. */
export interface Ending {
  readonly code: number | null
  readonly signal: string | null
}

export interface Child {
  readonly pid: number
  /** Resolves when it is gone. */
  readonly ended: Promise<Ending>
  /** Without effect when it is gone. */
  send(message: ToWorker): void
  onMessage(hear: (message: FromWorker) => void): void
  /** Whether connections are handed to it; they are until it is said. */
  deal(isDealt: boolean): void
  /** At once: what it has under way is swept by the next one. */
  kill(): void
}

/** The other end, in the worker. */
export interface Channel {
  send(message: FromWorker): void
  onMessage(hear: (message: ToWorker) => void): void
}
