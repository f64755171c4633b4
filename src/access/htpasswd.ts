/** Users and their passwords: an htpasswd file with bcrypt hashes, as `htpasswd -B` of Apache writes it. */
import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { CrossdockError } from '../errors.ts'
import { Semaphore } from '../lib/semaphore.ts'

/** `$2y$10$...` and its siblings; costs above 14 take seconds a check. */
const BCRYPT = /^\$2[aby]\$(\d{2})\$[./A-Za-z0-9]{53}$/
const MAX_COST = 14
const MAX_NAME = 255
/** bcrypt reads 72 bytes and ignores the rest; a longer password is a mistake or an attack. */
const MAX_PASSWORD_BYTES = 72

/** How long a right password is believed without computing it again, ms; containerd sends it with every request. */
const BELIEVED_MS = 60_000
/** Checks that may wait for a turn. */
const MAX_WAITING = 32

/** Hash of a text that nobody knows: checking it takes as long for unknown users as for known ones. */
const NOBODY = '$2b$10$abcdefghijklmnopqrstuuCZbKsBwsTNGWkKqMDPEVyWgQCZRZkq2'

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
        `${where}: the password of ${name} is no bcrypt hash; make it with htpasswd -B`,
      )
    }
    if (Number(cost) > MAX_COST) {
      throw new Error(
        `${where}: bcrypt cost ${cost} is above ${MAX_COST}, a check would take seconds`,
      )
    }
    if (users.has(name)) throw new Error(`${where}: ${name} stands in the file twice`)
    users.set(name, hash)
  }
  return users
}

/** Computes bcrypt; off the event loop in real life. */
export type CompareBcrypt = (password: string, hash: string) => Promise<boolean>

export class Users {
  readonly #hashes: ReadonlyMap<string, string>
  readonly #compare: CompareBcrypt
  readonly #slots = new Semaphore(1)
  readonly #key = randomBytes(32)
  readonly #believed = new LRUCache<string, true>({ max: 10_000, ttl: BELIEVED_MS })
  readonly #checks = new Map<string, Promise<boolean>>()

  constructor(hashes: ReadonlyMap<string, string>, compare: CompareBcrypt) {
    this.#hashes = hashes
    this.#compare = compare
  }

  /** Throws `overloaded` when too many checks wait. */
  async isRight(name: string, password: string): Promise<boolean> {
    if (name.length > MAX_NAME || Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return false
    const hash = this.#hashes.get(name)
    const key = this.#keyOf(name, password, hash)
    if (hash !== undefined && this.#believed.has(key)) return true
    const running = this.#checks.get(key)
    if (running !== undefined) return await running
    if (this.#slots.queued >= MAX_WAITING) {
      throw new CrossdockError(
        'overloaded',
        'too many passwords are being checked; try again soon',
        {
          reason: 'login-storm',
          retryAfter: 5,
        },
      )
    }
    const check = this.#slots
      .run(() => this.#compare(password, hash ?? NOBODY))
      .finally(() => this.#checks.delete(key))
    this.#checks.set(key, check)
    const isRight = (await check) && hash !== undefined
    if (isRight) this.#believed.set(key, true)
    return isRight
  }

  /** Passwords are not kept, not even in memory: a keyed digest of name, password and hash stands for them. */
  #keyOf(name: string, password: string, hash = ''): string {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([name, password, hash]))
      .digest('base64')
  }
}
