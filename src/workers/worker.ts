/** One of the workers of a supervisor, and why there may be none. */
import type { Config } from '../config/schema.ts'
import type { Child, Ending } from './child.ts'
import type { Start } from './words.ts'

/** A worker ended before all of them served; it has said why. */
export class StartFailed extends Error {
  override readonly name = 'StartFailed'
  readonly ending: Ending

  constructor(ending: Ending) {
    super(`a worker ended with ${ending.code ?? ending.signal} before it served`)
    this.ending = ending
  }
}

export interface Worker {
  readonly number: number
  readonly child: Child
  /** Monotonic ms. */
  readonly since: number
  /** Deaths in a row in its place before it. */
  readonly deaths: number
  readonly ready: PromiseWithResolvers<Start>
  state: 'starting' | 'begun' | 'ready'
  /** What it began with. */
  config: Config
  /** Of the files by which workers agree, the how many-th. */
  readonly agreement: number
  /** Set when it is killed for it. */
  silentMs?: number
}
