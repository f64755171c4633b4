/** What a supervisor is given, and whom it tells what has happened to its workers; as types only. */
import type { Reloaded } from '../admin/whole.ts'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../ports/clock.ts'
import type { Child, Ending } from './child.ts'

export interface Dead extends Ending {
  readonly number: number
  readonly pid: number
  /** It was killed since nothing was heard of it for so long, ms. */
  readonly silentMs?: number
}

export interface SupervisorEvents {
  /** One has ended that should not; another one takes its place after `delayMs`, or none. */
  died(worker: Dead, delayMs?: number): void
  /** The one that took a place serves. */
  replaced(worker: { readonly number: number; readonly pid: number }): void
  /** What they agree by is damaged or gone: all end at once, and begin with another one. */
  damaged(): void
  /** All that serve go by the configuration of now, whoever asked for it. */
  reloaded(what: Reloaded, config: Config): void
  /** These say nothing: each reads it when it does, or is replaced by one that goes by it. */
  reloadMissed(numbers: readonly number[]): void
  /** Something of it cannot be used. */
  reloadRefused(error: unknown): void
}

export interface SupervisorDeps {
  readonly fork: () => Child
  /** How many there are to be. */
  readonly count: number
  readonly config: Config
  readonly file: string | undefined
  readonly clock: Clock
  /** Makes anew what workers agree by; nobody uses it then. */
  readonly makeAnew: () => void
  readonly events: SupervisorEvents
}
