/** PostgreSQL while it is in use: a pool of connections, statements prepared once each, and patience when the server goes away. */
import type { Clock } from '../../ports/clock.ts'
import { Availability } from './availability.ts'
import type { Reach } from '../reach.ts'
import type { Client, ClientBase, Driver, Pool, PoolClient, Row, Value } from './driver.ts'
import { otherCatalogFailure, postgresFailure, troubleOf } from './failures.ts'
import type { SharedTime } from './shared-time.ts'

export interface Limits {
  /** Connections of this process. */
  readonly connections: number
  /** How long a connection may take to be there, ms. */
  readonly connectMs: number
  /** How long the server works on one statement, ms. */
  readonly statementMs: number
  /** How long an answer may take to arrive, ms: more than the server works, for only a broken network takes longer. */
  readonly answerMs: number
  /** How long a question waits for a server that restarts or fails over, ms. */
  readonly patienceMs: number
}

export const LIMITS: Limits = {
  connections: 10,
  connectMs: 5_000,
  statementMs: 10_000,
  answerMs: 15_000,
  patienceMs: 10_000,
}

/** What meets a deadlock or a broken connection is tried so often, whatever time is left. */
const MOST_TRIES = 10

/** What a statement gave. */
export interface Answer {
  readonly rows: readonly Row[]
  /** Rows that were written. */
  readonly changes: number
  /** Who said so, as `Greeting` named it. */
  readonly server: string
}

/** Where statements go: one connection within a transaction. */
export interface Session {
  query(text: string, values?: readonly Value[]): Promise<Answer>
}

/** What a new connection is asked before it is used; throws when it is none to use. Tells a server from another, also after a restart. */
export type Greeting = (client: ClientBase) => Promise<{ readonly server: string }>

export interface DatabaseDeps {
  readonly driver: Driver
  readonly url: string
  readonly address: string
  readonly clock: Clock
  readonly time: SharedTime
  readonly limits: Limits
  readonly greet: Greeting
  /** The name of the catalog that was opened. */
  readonly catalog: string
  /** Hears whether it answers. */
  readonly reach?: Reach | undefined
}

export class Database implements Session, AsyncDisposable {
  readonly time: SharedTime
  readonly catalog: string
  readonly #deps: DatabaseDeps
  readonly #pool: Pool
  readonly #servers = new WeakMap<object, string>()
  /** What connections were ended with while nothing was asked over them. */
  readonly #endings = new WeakMap<object, unknown>()
  readonly #names = new Map<string, string>()
  readonly #availability: Availability
  #ended: Promise<void> | undefined

  constructor(deps: DatabaseDeps) {
    this.#deps = deps
    this.time = deps.time
    this.catalog = deps.catalog
    this.#availability = new Availability(deps.clock, () => this.#probe(), deps.reach)
    this.#pool = deps.driver.pool({
      ...connectionOf(deps.url, deps.limits),
      max: deps.limits.connections,
      // Of an idle pool one connection stays: the first asker must not wait for a new one.
      min: 1,
      idleTimeoutMillis: 30_000,
      onConnect: async (client) => {
        // A connection that breaks while nothing is asked over it fails the next question, and not the process.
        client.on('error', (error) => this.#endings.set(client, error))
        const { server } = await deps.greet(client)
        this.#servers.set(client, server)
      },
    })
    // A server that restarts ends idle connections, which is nobody's failure.
    this.#pool.on('error', () => undefined)
  }

  /** One statement. It is repeated when its connection breaks, so twice must do no harm. */
  async query(text: string, values: readonly Value[] = []): Promise<Answer> {
    return await this.#patiently(() => this.#on((client) => this.#ask(client, text, values)))
  }

  /** One that says whether it was answered by the catalog that was opened (`IS_OWN`); another one counts as away. */
  async own(text: string, values: readonly Value[]): Promise<Answer> {
    return await this.#patiently(() => this.#on((client) => this.#own(client, text, values)))
  }

  /** A statement once and without patience: throws at once while the server is known to be away. */
  async ask(text: string, answerMs: number): Promise<Answer> {
    return await this.#once((client) => this.#ask(client, text, [], answerMs))
  }

  /** As `ask`, of one that says so. */
  async askOwn(text: string, values: readonly Value[], answerMs: number): Promise<Answer> {
    return await this.#once((client) => this.#own(client, text, values, answerMs))
  }

  /** All of `work` or nothing; all of it again after a deadlock, or when the connection breaks. */
  async transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return await this.#patiently(() =>
      this.#on(async (client) => {
        await client.query('BEGIN')
        try {
          const result = await work({ query: (text, values) => this.#ask(client, text, values) })
          await client.query('COMMIT')
          return result
        } catch (error) {
          const trouble = troubleOf(error)
          // Else the connection is not used any more.
          if (trouble === 'conflict' || trouble === 'final') await client.query('ROLLBACK')
          throw error
        }
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#availability.close()
    this.#ended ??= this.#pool.end()
    await this.#ended
  }

  async #on<T>(work: (client: Client) => Promise<T>): Promise<T> {
    let client: PoolClient | undefined
    let broken: unknown
    try {
      client = await this.#pool.connect()
      return await work(client)
    } catch (said) {
      // Why it was ended says more than that it was.
      const ending = client && troubleOf(said) === 'away' ? this.#endings.get(client) : undefined
      const error = ending ?? said
      const trouble = troubleOf(error)
      // Also a connection on which an answer did not come in time: it may come to the next asker.
      if (trouble === 'away' || trouble === 'outdated') broken = error
      if (trouble === 'away') {
        this.#availability.lost(error)
        this.#deps.reach?.failed(postgresFailure(this.#deps.address, error))
      }
      throw error
    } finally {
      client?.release(broken !== undefined)
    }
  }

  async #once<T>(work: (client: Client) => Promise<T>): Promise<T> {
    try {
      this.#availability.assert()
      return await this.#on(work)
    } catch (error) {
      throw postgresFailure(this.#deps.address, error)
    }
  }

  async #own(client: Client, ...asked: readonly [string, readonly Value[], number?]) {
    const answer = await this.#ask(client, ...asked)
    if (answer.rows[0]?.is_own !== true) throw otherCatalogFailure(this.#deps.address)
    return answer
  }

  /** Over a connection of its own: those of the pool may be what is broken. */
  async #probe(): Promise<void> {
    const { driver, url, limits, greet } = this.#deps
    let client: Client | undefined
    try {
      client = await driver.connect(connectionOf(url, limits))
      await greet(client)
    } catch (error) {
      throw postgresFailure(this.#deps.address, error)
    } finally {
      await client?.end().catch(() => undefined)
    }
  }

  async #ask(
    client: Client,
    text: string,
    values: readonly Value[] = [],
    answerMs: number = this.#deps.limits.answerMs,
  ): Promise<Answer> {
    const query = { name: this.#nameOf(text), text, values: [...values], query_timeout: answerMs }
    const { rows, rowCount } = await client.query<Row>(query)
    return { rows, changes: rowCount ?? 0, server: this.#servers.get(client) ?? '' }
  }

  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    const { limits, address } = this.#deps
    for (let tries = 1; ; tries += 1) {
      if (!(await this.#availability.isBackWithin(limits.patienceMs))) {
        throw postgresFailure(address, this.#availability.error)
      }
      try {
        return await work()
      } catch (error) {
        if (troubleOf(error) === 'final' || tries >= MOST_TRIES) {
          throw postgresFailure(address, error)
        }
      }
    }
  }

  /** Names of prepared statements, the same on every connection. */
  #nameOf(text: string): string {
    const known = this.#names.get(text)
    if (known !== undefined) return known
    const name = `crossdock_${this.#names.size}`
    this.#names.set(text, name)
    return name
  }
}

/** What every connection to the catalog is opened with. */
export function connectionOf(url: string, limits: Limits) {
  return {
    connectionString: url,
    connectionTimeoutMillis: limits.connectMs,
    statement_timeout: limits.statementMs,
    query_timeout: limits.answerMs,
    lock_timeout: limits.statementMs,
    // A replica that is stopped in a transaction must not hold its locks.
    idle_in_transaction_session_timeout: limits.statementMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    fallback_application_name: 'crossdock',
  }
}
