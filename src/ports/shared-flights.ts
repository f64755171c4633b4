/** Work that is done once among all processes that share a store, as types only. Where there is only one process, there is no such port. */

export interface SharedFlights {
  /**
   * Does `work`, unless another process is at it: then waits until it has ended, and does the work itself when that one has failed or
   * died. `find` looks for what others have done; whoever calls has looked before.
   */
  once<T extends object>(
    name: string,
    steps: { find(): Promise<T | undefined>; work(): Promise<T> },
  ): Promise<T>
  /** The same in parts, for work that can be followed while it is done. */
  begin(name: string): Promise<SharedFlight>
}

export type SharedFlight = OwnFlight | OthersFlight

/**
 * Nobody else begins it before it is disposed. Work that has lost its name to another process, since it was stopped or could reach
 * nobody, goes on: both come to the same, and its pullers wait for it.
 */
export interface OwnFlight extends Disposable {
  readonly kind: 'own'
}

export interface OthersFlight {
  readonly kind: 'others'
  /** What its holder lets others know of itself; `undefined`: it has ended, or another one has taken it over. */
  note(): Promise<string | undefined>
  /** Resolves when nobody is at it any more; rejects with the signal's reason. */
  ended(signal?: AbortSignal): Promise<void>
}
