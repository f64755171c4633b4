/** Notices by LISTEN and NOTIFY: one channel for all topics, on a connection that does nothing else and comes back when it breaks. */
import type { Clock } from '../../ports/clock.ts'
import type { Notice, Notices } from '../../ports/leases.ts'
import { isText, parseList } from '../../lib/shapes.ts'
import { NoticeBoard } from '../notice-board.ts'
import { connectionOf, type Database, LIMITS } from './database.ts'
import type { Client, Driver } from './driver.ts'
import { postgresFailure } from './failures.ts'

const CHANNEL = 'crossdock'

/** How often a silent connection is asked whether it is still there, ms, and how long it may take to say so. */
const ALIVE_MS = 10_000

/** Between two tries while the server is away, ms. */
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000

export class PostgresNotices implements Notices, AsyncDisposable {
  readonly #parts: {
    readonly db: Database
    readonly driver: Driver
    readonly url: string
    readonly address: string
    readonly clock: Clock
  }
  readonly #board = new NoticeBoard()
  readonly #closing = new AbortController()
  #listening: Promise<Client> | undefined
  /** While it is connected. */
  #client: Client | undefined
  #following: Promise<void> | undefined

  constructor(parts: {
    readonly db: Database
    readonly driver: Driver
    readonly url: string
    readonly address: string
    readonly clock: Clock
  }) {
    this.#parts = parts
  }

  async publish(topic: string, text: string): Promise<void> {
    const payload = JSON.stringify([topic, text])
    await this.#parts.db.query(`SELECT pg_notify('${CHANNEL}', $1)`, [payload])
  }

  async subscribe(topic: string, told: (notice: Notice) => void): Promise<Disposable> {
    if (this.#following === undefined) {
      this.#listening ??= this.#listen()
      try {
        await this.#listening
      } catch (error) {
        this.#listening = undefined
        throw postgresFailure(this.#parts.address, error)
      }
      this.#following ??= this.#follow()
    }
    // What was said before arrives before the answer. While the connection is away nobody waits: a gap is told when it is back.
    await this.#client?.query('SELECT').catch(() => undefined)
    return this.#board.add(topic, told)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#client?.end().catch(() => undefined)
    await this.#following
  }

  async #listen(): Promise<Client> {
    const { driver, url } = this.#parts
    const limits = { ...LIMITS, answerMs: ALIVE_MS }
    const client = driver.client(connectionOf(url, limits))
    client.on('error', () => undefined)
    client.on('notification', ({ payload = '' }) => this.#tell(payload))
    try {
      await client.connect()
      await client.query(`LISTEN ${CHANNEL}`)
    } catch (error) {
      void client.end().catch(() => undefined)
      throw error
    }
    this.#client = client
    return client
  }

  /** Listens again whenever the connection ends, and says that something may have been missed. */
  async #follow(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      const client = await this.#listening
      if (client !== undefined) await this.#untilBroken(client)
      this.#client = undefined
      if (signal.aborted) return
      this.#listening = this.#listenAgain()
      const isBack = await this.#listening.then(
        () => true,
        () => false,
      )
      if (isBack) this.#board.gap()
    }
  }

  async #listenAgain(): Promise<Client> {
    const { clock } = this.#parts
    const { signal } = this.#closing
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        signal.throwIfAborted()
        return await this.#listen()
      } catch (error) {
        if (signal.aborted) throw error
        await clock.sleep(pause * (0.5 + Math.random() / 2), signal).catch(() => undefined)
      }
    }
  }

  async #untilBroken(client: Client): Promise<void> {
    const { clock } = this.#parts
    const broken = new AbortController()
    client.once('end', () => broken.abort())
    const done = AbortSignal.any([broken.signal, this.#closing.signal])
    while (!done.aborted) {
      await clock.sleep(ALIVE_MS, done).catch(() => undefined)
      if (done.aborted) break
      // What answers nothing is as good as broken.
      await client.query('SELECT').catch(() => broken.abort())
    }
    void client.end().catch(() => undefined)
  }

  #tell(payload: string): void {
    const said = saidIn(payload)
    if (said !== undefined) this.#board.tell(said.topic, said.text)
  }
}

/** `undefined`: somebody else's words. Any role that may connect to the database can say something here, with rights on nothing else. */
function saidIn(payload: string): { readonly topic: string; readonly text: string } | undefined {
  const [topic, text, ...more] = parseList(payload)
  return isText(topic) && isText(text) && more.length === 0 ? { topic, text } : undefined
}
