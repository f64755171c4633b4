/** Notices of the processes of one machine: rows that whoever listens looks for, many times a second and only while it listens. */
import type { Notice, Notices } from '../ports/leases.ts'
import { NoticeBoard } from './notice-board.ts'
import { type Coordination, SQLITE_NOW_MS } from './sqlite-coordination.ts'
import { numberIn, textIn } from './sqlite-values.ts'

/** Between two looks, ms: some microseconds each while nobody says anything. */
const LOOK_MS = 20

/** Notices older than this are forgotten, ms: whoever was stopped for longer has missed some. */
const KEPT_MS = 30_000

/** Notices published between two looks for old ones. */
const FORGET_EVERY = 200

export class SqliteNotices implements Notices, Disposable {
  readonly #db: Coordination
  readonly #board = new NoticeBoard()
  #timer: NodeJS.Timeout | undefined
  #version: unknown
  /** The last one that was told here, or that there was when the first one began to listen. */
  #last = 0
  #published = 0

  constructor(db: Coordination) {
    this.#db = db
  }

  async publish(topic: string, text: string): Promise<void> {
    const insert = `INSERT INTO notices (topic, text, told_at) VALUES (?, ?, ${SQLITE_NOW_MS})`
    this.#db.run(insert, topic, text)
    this.#published += 1
    if (this.#published % FORGET_EVERY === 0) {
      this.#db.run(`DELETE FROM notices WHERE told_at < ${SQLITE_NOW_MS} - ${KEPT_MS}`)
    }
    // What this connection commits changes no version that it sees.
    if (!this.#board.isEmpty) this.#tell()
  }

  async subscribe(topic: string, told: (notice: Notice) => void): Promise<Disposable> {
    if (this.#timer === undefined) this.#begin()
    else this.#look()
    const subscription = this.#board.add(topic, told)
    return {
      [Symbol.dispose]: () => {
        subscription[Symbol.dispose]()
        if (this.#board.isEmpty) this[Symbol.dispose]()
      },
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #begin(): void {
    this.#version = this.#db.get('PRAGMA data_version')?.data_version
    this.#last = this.#newest()
    this.#timer = setInterval(() => this.#lookAgain(), LOOK_MS)
    this.#timer.unref()
  }

  #look(): void {
    const version = this.#db.get('PRAGMA data_version')?.data_version
    if (version === this.#version) return
    this.#tell()
    // What could not be read is looked for once more.
    this.#version = version
  }

  /** Thrown by a timer, what is wrong with the file would end the process; whoever asks it for something hears it. */
  #lookAgain(): void {
    try {
      this.#look()
    } catch {}
  }

  #tell(): void {
    const rows = this.#db.all(
      'SELECT id, topic, text FROM notices WHERE id > ? ORDER BY id',
      this.#last,
    )
    const [first] = rows
    // Numbers have no holes but those of notices that were forgotten.
    const isGap =
      first === undefined ? this.#newest() > this.#last : numberIn(first, 'id') > this.#last + 1
    this.#last = first === undefined ? this.#newest() : numberIn(rows.at(-1) ?? first, 'id')
    if (isGap) this.#board.gap()
    for (const row of rows) this.#board.tell(textIn(row, 'topic'), textIn(row, 'text'))
  }

  /** Also when it was forgotten since. */
  #newest(): number {
    const row = this.#db.get("SELECT seq FROM sqlite_sequence WHERE name = 'notices'")
    return row === undefined ? 0 : numberIn(row, 'seq')
  }
}
