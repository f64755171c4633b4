/** Turns that several processes take, and what they tell each other meanwhile, as types only. */
import type { SharedTurns } from './shared-turns.ts'

/** The right to do something alone until a limit passes, by the clock of the engine that gave it. */
export interface Lease {
  readonly name: string
  /**
   * Larger than that of everybody who held the name before. Whoever was stopped and wakes up may believe that it still holds the
   * lease; what must not happen twice asks whether the token `isCurrent` in the same step in which it happens.
   */
  readonly token: number
  /** Monotonic ms of this process's clock until which nobody else can have it, counted from before it was asked for. */
  readonly heldUntil: number
  /** From now on for `ttlMs`; false: its limit has passed, and it never comes back under this token. */
  renew(ttlMs: number): Promise<boolean>
  /** The next one in line need not wait for the limit. */
  release(): Promise<void>
}

export interface LeaseHolder {
  readonly token: number
  /** What it wants others to know, or nothing. */
  readonly note: string
}

export interface Leases {
  /** `undefined`: somebody holds it. `note`: what others are to know of this holder, a short text. */
  acquire(name: string, ttlMs: number, note?: string): Promise<Lease | undefined>
  /** Who holds it; `undefined`: nobody. */
  find(name: string): Promise<LeaseHolder | undefined>
  /** Whether this holder of the name is the last one, and its limit has not passed. */
  isCurrent(name: string, token: number): Promise<boolean>
  /**
   * Resolves when nobody holds it: released, or at its limit. Somebody else may be quicker to take it then. Rejects with the
   * signal's reason.
   */
  untilFree(name: string, signal: AbortSignal): Promise<void>
}

export type Notice =
  | { readonly kind: 'told'; readonly text: string }
  /** Some may have been missed (a broken connection, say): whoever waits for something looks for itself. */
  | { readonly kind: 'gap' }

/** Short texts by topic, to whoever listens now, in this process and others. A hint, never a fact: one may be lost with its sender. */
export interface Notices {
  /** Topic and text: 7,000 bytes at most. */
  publish(topic: string, text: string): Promise<void>
  /** What is published after this has resolved is told, in the order in which it was; `told` must not throw. */
  subscribe(topic: string, told: (notice: Notice) => void): Promise<Disposable>
}

/** One of several processes of one server. */
export interface Sibling {
  /** Of this run of the server: another one has another. */
  readonly server: string
  /**
   * The how many-th process of its server: no two have the same, whenever they run, and one that takes another's place has the next. 0: it
   * is alone.
   */
  readonly number: number
  /** How many there are at a time. */
  readonly of: number
  /** Those that have ended before this one began. */
  readonly gone: readonly number[]
}

/** What the processes that share a store agree by. */
export interface Coordination extends AsyncDisposable {
  readonly leases: Leases
  readonly notices: Notices
  readonly turns: SharedTurns
  /** What siblings held that have ended, nobody holds any more. */
  siblingsEnded(numbers: readonly number[]): Promise<void>
  /** Throws while nothing can be agreed. */
  check(): Promise<void>
}
