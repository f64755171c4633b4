/** Users and their passwords: an htpasswd file with bcrypt hashes, as `htpasswd -B` of Apache writes it. */
import { createHmac, randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { LRUCache } from 'lru-cache'
import { LoginQueue } from './login-queue.ts'

/** `$2y$10$...` and its siblings; costs above 14 take seconds a check. */
const BCRYPT = /^\$2[aby]\$(\d{2})\$[./A-Za-z0-9]{53}$/
const MAX_COST = 14
const MAX_NAME = 255
/** bcrypt reads 72 bytes and ignores the rest; a longer password is a mistake or an attack. */
const MAX_PASSWORD_BYTES = 72

/** How long a right password is believed without computing it again, ms; containerd sends it with every request. */
const BELIEVED_MS = 60_000
/** How long a wrong one is known as such: whoever was told an old password says it again and again. */
const DOUBTED_MS = 60_000
/** What `htpasswd -B` takes, for a file without users. */
const DEFAULT_COST = 5

/** Name -> bcrypt hash. Throws with `file:line` for anything that is not `name:bcrypt`. */
export function parseHtpasswd(file: string, text: string): ReadonlyMap<string, string> {
  const users = new Map<string, string>()
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const where = `${file}:${index + 1}`
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon))
    const hash = line.slice(colon + 1)
    if (colon < 1 || name.length > MAX_NAME) throw new Error(`${where}: must be name:hash`)
    const cost = BCRYPT.exec(hash)?.[1]
    if (cost === undefined) {
      throw new Error(
        `${where}: the password of ${shown(name)} is no bcrypt hash; make it with htpasswd -B`,
      )
    }
    if (Number(cost) > MAX_COST) {
      throw new Error(
        `${where}: bcrypt cost ${cost} is above ${MAX_COST}, a check would take seconds`,
      )
    }
    if (users.has(name)) throw new Error(`${where}: ${shown(name)} stands in the file twice`)
    users.set(name, hash)
  }
  return users
}

/** In a line that is mixed up, what stands in the place of the name may be the secret. */
function shown(name: string): string {
  return /^[\w.@+-]{1,64}$/.test(name) ? name : 'this user'
}

/** Computes bcrypt; off the event loop in real life. */
export type CompareBcrypt = (password: string, hash: string) => Promise<boolean>

export class Users {
  readonly #hashes: ReadonlyMap<string, string>
  readonly #compare: CompareBcrypt
  /** The highest of the file: a wrong answer takes as long as this, whoever is asked for. */
  readonly #cost: number
  readonly #queue = new LoginQueue()
  readonly #key = randomBytes(32)
  readonly #believed = new LRUCache<string, true>({ max: 10_000, ttl: BELIEVED_MS })
  readonly #doubted = new LRUCache<string, true>({ max: 10_000, ttl: DOUBTED_MS })
  readonly #checks = new Map<string, Promise<boolean>>()

  constructor(hashes: ReadonlyMap<string, string>, compare: CompareBcrypt) {
    this.#hashes = hashes
    this.#compare = compare
    const costs = [...hashes.values()].map(costOf)
    this.#cost = costs.length === 0 ? DEFAULT_COST : Math.max(...costs)
  }

  /** True for the same names with the same hashes. */
  hasSame(other: Users): boolean {
    return isDeepStrictEqual(this.#hashes, other.#hashes)
  }

  /** Throws `overloaded` when too many checks wait, of all clients or of this one. */
  async isRight(name: string, password: string, client = ''): Promise<boolean> {
    if (name.length > MAX_NAME || Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return false
    const hash = this.#hashes.get(name)
    const key = this.#keyOf(name, password, hash)
    if (hash !== undefined && this.#believed.has(key)) return true
    if (this.#doubted.has(key)) return false
    const running = this.#checks.get(key)
    if (running !== undefined) return await running
    const check = this.#queue
      .run(client, () => this.#check(password, hash))
      .finally(() => this.#checks.delete(key))
    this.#checks.set(key, check)
    const isRight = await check
    const memory = isRight ? this.#believed : this.#doubted
    memory.set(key, true)
    return isRight
  }

  /**
   * Takes equally long for every wrong answer, so that nobody learns names by a clock: a cost is a power of two, and a
   * hash of cost 5 with dummies of 5, 6 and 7 is as much work as one of cost 8.
   */
  async #check(password: string, hash: string | undefined): Promise<boolean> {
    const cost = hash === undefined ? this.#cost : costOf(hash)
    const isEqual = await this.#compare(password, hash ?? dummyOf(cost))
    if (isEqual && hash !== undefined) return true
    for (let more = cost; more < this.#cost; more += 1) await this.#compare(password, dummyOf(more))
    return false
  }

  /** Passwords are not kept, not even in memory: a keyed digest of name, password and hash stands for them. */
  #keyOf(name: string, password: string, hash = ''): string {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([name, password, hash]))
      .digest('base64')
  }
}

function costOf(hash: string): number {
  return Number(BCRYPT.exec(hash)?.[1])
}

/** Hash of a text that nobody knows. */
function dummyOf(cost: number): string {
  return `$2b$${String(cost).padStart(2, '0')}$abcdefghijklmnopqrstuuCZbKsBwsTNGWkKqMDPEVyWgQCZRZkq2`
}
