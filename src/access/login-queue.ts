/** The queue before the one place where passwords are checked: clients take turns, and whoever guessed wrong waits behind the others. */
import { LRUCache } from 'lru-cache'
import { CrossdockError } from '../errors.ts'
import { Turns } from '../lib/shares.ts'

/** Checks that may wait for a turn. */
const MAX_WAITING = 32
/** Checks of one client among them, the running one included. */
const MAX_OF_ONE = 8
/** How long a client whose password was wrong stands behind the others, ms. */
const SUSPECT_MS = 60_000
const MAX_SUSPECTS = 10_000

interface Waiting {
  readonly client: string
  readonly check: () => Promise<boolean>
  readonly reply: PromiseWithResolvers<boolean>
}

export class LoginQueue {
  readonly #trusted = new Turns<Waiting>()
  readonly #suspected = new Turns<Waiting>()
  readonly #wrong = new LRUCache<string, true>({ max: MAX_SUSPECTS, ttl: SUSPECT_MS })
  #running: string | undefined

  /** Runs the check when its turn has come. Throws `overloaded` when there is no room for it, then or later. */
  async run(client: string, check: () => Promise<boolean>): Promise<boolean> {
    if (this.#asking(client) >= MAX_OF_ONE || !this.#makeRoom(client)) throw loginStorm()
    const reply = Promise.withResolvers<boolean>()
    this.#lineOf(client).push(client, { client, check, reply })
    if (this.#running === undefined) void this.#work()
    return await reply.promise
  }

  async #work(): Promise<void> {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const { client, check, reply } = next
      this.#running = client
      try {
        const isRight = await check()
        if (!isRight) this.#wrong.set(client, true)
        reply.resolve(isRight)
      } catch (error) {
        reply.reject(error)
      }
    }
    this.#running = undefined
  }

  #next(): Waiting | undefined {
    return this.#trusted.shift() ?? this.#suspected.shift()
  }

  #lineOf(client: string): Turns<Waiting> {
    return this.#wrong.has(client) ? this.#suspected : this.#trusted
  }

  #asking(client: string): number {
    const waiting = this.#trusted.waiting(client) + this.#suspected.waiting(client)
    return waiting + (this.#running === client ? 1 : 0)
  }

  /** In a full queue whoever has the most in it gives up its last place to whoever has less, a guesser before the others. */
  #makeRoom(client: string): boolean {
    if (this.#trusted.size + this.#suspected.size < MAX_WAITING) return true
    const mine = this.#asking(client)
    const mayDisplace = (line: Turns<Waiting>, greediest: string): boolean => {
      const isBefore = line === this.#suspected && this.#lineOf(client) === this.#trusted
      const isBehind = line === this.#trusted && this.#lineOf(client) === this.#suspected
      return isBefore || (!isBehind && line.waiting(greediest) > mine + 1)
    }
    for (const line of [this.#suspected, this.#trusted]) {
      const greediest = line.greediest()
      if (greediest === undefined || !mayDisplace(line, greediest)) continue
      line.pop(greediest)?.reply.reject(loginStorm())
      return true
    }
    return false
  }
}

function loginStorm(): CrossdockError {
  return new CrossdockError('overloaded', 'too many passwords are being checked; try again soon', {
    reason: 'login-storm',
    retryAfter: 5,
  })
}
