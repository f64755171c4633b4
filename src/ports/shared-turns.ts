/** What one process at a time does among all that share a store, as types only. Where there is only one process, there is no such port. */

/** Says, in the step in which something happens, under which lease it does: the engine refuses it when another one holds that by now. */
export interface Fence {
  readonly lease: string
  readonly token: number
}

export interface SharedTurn {
  /** Of every step that must not happen once the turn is over. `undefined`: nobody else could have it. */
  readonly fence: Fence | undefined
  /** Aborted when somebody else could have it; a process that was stopped learns it late. */
  readonly signal: AbortSignal
  /** Throws `lease-lost` when somebody else could have it by now, by this process's clock. */
  assertHeld(): void
}

export interface SharedTurns {
  /**
   * Waits until nobody else has the turn of this name, and does `work` then. Rejects with the signal's reason while it waits; what
   * `work` does about a turn that it has lost is its own business.
   */
  take<T>(name: string, work: (turn: SharedTurn) => Promise<T>, signal?: AbortSignal): Promise<T>
}
