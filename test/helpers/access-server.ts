/** A server in this process with users and a policy that changes under it, between two registries that can be turned off. */
import { hashSync } from 'bcryptjs'
import type { Book, RepositoryName } from './access-book.ts'
import { REPOSITORIES } from './access-book.ts'
import { type RunningCommand, Workplace } from './command.ts'

export const USERS = ['alice', 'bob', 'carol'] as const
export type User = (typeof USERS)[number]

const PASSWORD = 'secret'
const HASH = hashSync(PASSWORD, 4)

export function credentialsOf(user: User, password = PASSWORD): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` }
}

export class AccessServer implements AsyncDisposable {
  readonly #book: Book
  readonly #place: Workplace
  #server: RunningCommand | undefined
  #reloads = 0
  base = ''

  private constructor(book: Book, place: Workplace) {
    this.#book = book
    this.#place = place
  }

  static async start(book: Book, allowed: Allowed): Promise<AccessServer> {
    const server = new AccessServer(book, await Workplace.create())
    await server.#place.write('users', USERS.map((user) => `${user}:${HASH}\n`).join(''))
    await server.#configure(allowed)
    await server.#start()
    return server
  }

  /** As SIGHUP; resolves when it counts. */
  async allow(allowed: Allowed): Promise<void> {
    await this.#configure(allowed)
    this.#reloads += 1
    // As often as that, and nothing for the expression to try twice.
    const times = `(?:reloaded(?:(?!reloaded)[^])*){${this.#reloads}}`
    const seen = this.#server?.logged(new RegExp(times))
    this.#server?.reload()
    await seen
  }

  async restart(): Promise<void> {
    await this.#stop()
    await this.#start()
  }

  /** What `crossdock gc` evicts beside the server: whatever is beyond the budget. */
  async collect(): Promise<void> {
    const { code, err } = await this.#place.run('gc', '--config', 'crossdock.yaml')
    if (code !== 0) throw new Error(`gc ended with ${code}: ${err}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop()
    await this.#place[Symbol.asyncDispose]()
  }

  async #start(): Promise<void> {
    this.#reloads = 0
    this.#server = this.#place.start('serve', '--config', 'crossdock.yaml', '--admin', 'off')
    this.base = `${await this.#server.logged(/"addresses":\["(http:[^"]+)"/)}/v2`
  }

  async #stop(): Promise<void> {
    this.#server?.signal()
    await this.#server?.done
  }

  async #configure(allowed: Allowed): Promise<void> {
    const { origin, other } = this.#book
    const policy = USERS.flatMap((user) =>
      REPOSITORIES.filter((name) => allowed(user, name)).map((name) => ({
        who: [user],
        match: [name.startsWith('other/') ? name : `origin/${name}`],
      })),
    )
    const config = {
      listen: [{ address: '127.0.0.1:0' }],
      data: 'data',
      defaultUpstream: 'origin',
      upstreams: { origin: { url: origin.url }, other: { url: other.url } },
      auth: {
        mode: 'htpasswd',
        htpasswd: 'users',
        policy: [...policy, { who: ['nobody'], match: ['none'] }],
      },
      cache: { tagWindow: '0s', maxSize: 30_000, lease: '0' },
      convert: { defaultPlatforms: ['linux/amd64'] },
      limits: { retries: 0, breakerFailures: 1_000_000 },
      log: { format: 'json', level: 'info' },
    }
    await this.#place.write('crossdock.yaml', JSON.stringify(config))
  }
}

export type Allowed = (user: User, name: RepositoryName) => boolean
