/** The server's housekeeping: one server at a time does the chores of a store, and another one goes on with them when it ends or dies. */
import type { SharedTurn, SharedTurns } from '../ports/shared-turns.ts'
import { Chores, type ChoresDeps } from './chores.ts'
import { inTurn, UPKEEP } from './shared-turn.ts'

/** When nobody can say whose turn it is: how soon that is asked again, ms. */
const AGAIN_MS = 5_000

export interface KeeperDeps extends ChoresDeps {
  /** Where others share the store. */
  readonly turns?: SharedTurns | undefined
  readonly meter?: AsyncDisposable | undefined
}

export class Keeper implements AsyncDisposable {
  readonly #deps: KeeperDeps
  readonly #stop = new AbortController()
  readonly #running: Promise<unknown>
  #chores: Chores | undefined

  constructor(deps: KeeperDeps) {
    this.#deps = deps
    this.#running = this.#always()
  }

  /** True while it is this server that looks after the store. */
  get isInTurn(): boolean {
    return this.#chores !== undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
    await this.#deps.meter?.[Symbol.asyncDispose]()
  }

  /** Of the configuration. Those of other servers have one of their own. */
  policyChanged(): void {
    this.#chores?.policyChanged()
  }

  async #always(): Promise<void> {
    const { signal } = this.#stop
    const { clock, turns } = this.#deps
    while (!signal.aborted) {
      try {
        await inTurn(turns, UPKEEP, (turn) => this.#inTurn(turn), signal)
      } catch {
        // The engine is away, which is said elsewhere; while nobody can ask it, nobody has the turn for long.
        await clock.sleep(AGAIN_MS, signal).catch(() => undefined)
      }
    }
  }

  async #inTurn(turn: SharedTurn): Promise<void> {
    this.#chores = new Chores(this.#deps, turn, this.#stop.signal)
    try {
      await this.#chores.run()
    } finally {
      this.#chores = undefined
    }
  }
}
