import { describe, expect, it } from 'vitest'
import { CrossdockError } from '../../../../src/errors.ts'
import { Answers } from '../../../../src/store/postgres/answers.ts'
import type { Answer } from '../../../../src/store/postgres/database.ts'
import { AWAY } from '../../../../src/store/postgres/failures.ts'
import { Lookup } from '../../../../src/store/postgres/lookup.ts'

describe('answers of PostgreSQL that are remembered', () => {
  it('are confirmed by one question for all who ask together, and not asked again', async () => {
    const server = new FakeServer()
    const { find } = start(server)
    for (const key of ['a', 'b', 'c']) await find(key)
    await turn()
    server.log.length = 0

    const found = await Promise.all(['a', 'b', 'c', 'a'].map(find))

    expect(found).toEqual(['a at 1', 'b at 1', 'c at 1', 'a at 1'])
    expect(server.log).toEqual(['confirm'])
  })

  it('hold for all questions that follow at once from one that was confirmed', async () => {
    const server = new FakeServer()
    const { find } = start(server)
    await find('a')
    await find('b')
    await turn()
    server.log.length = 0

    await find('a')
    await find('b')
    await find('a')

    expect(server.log).toEqual(['confirm'])
  })

  it('are asked again when anything was committed', async () => {
    const server = new FakeServer()
    const { find } = start(server)
    await find('a')
    await turn()

    server.version += 1

    expect(await find('a')).toBe('a at 2')
  })

  it('are never confirmed by a question that was sent before they were asked for', async () => {
    const server = new FakeServer()
    const { find } = start(server)
    await find('a')
    await turn()
    server.isHeld = true
    const first = find('a')
    await turn()
    // The server has answered already, though nobody has heard it yet.
    server.version += 1
    const second = find('a')

    server.release()

    expect(await first).toBe('a at 1')
    expect(await second).toBe('a at 2')
  })

  it('come at once when the server is away; what was never asked waits and fails', async () => {
    const server = new FakeServer()
    const { find } = start(server)
    await find('a')
    await turn()

    server.isAway = true

    expect(await find('a')).toBe('a at 1')
    await expect(find('b')).rejects.toMatchObject({ reason: AWAY })
  })

  it('are not given while the server is away if they may not be old', async () => {
    const server = new FakeServer()
    const answers = new Answers(server)
    const query = { types: ['text'], find: 'SELECT' }
    const lookup = new Lookup<undefined>(
      server,
      answers,
      query,
      () => undefined,
      (answer) => answer !== undefined,
    )
    await lookup.find('a', ['a'])
    await turn()

    server.isAway = true

    await expect(lookup.find('a', ['a'])).rejects.toMatchObject({ reason: AWAY })
  })

  it('are not believed of another server that counts the same', async () => {
    const server = new FakeServer()
    const { find } = start(server)
    await find('a')
    await turn()

    server.name = 'promoted'
    server.said = 'other'

    expect(await find('a')).toBe('a other 1')
  })

  it('include what the server told beside what it was asked', async () => {
    const server = new FakeServer()
    const answers = new Answers(server)
    const query = { types: ['text'], find: 'SELECT' }
    const beside = new Lookup(server, answers, query, ([row], [key], tell) => {
      tell(`of ${String(key)}`, `beside ${String(row?.text)}`)
      return ''
    })
    await beside.find('a', ['a'])

    const told = await answers.recall('of a', async () => {
      throw new Error('it was told')
    })

    expect(told).toBe('beside a at 1')
    await turn()
    server.version += 1
    await expect(
      answers.recall('of a', async () => {
        throw new Error('asked')
      }),
    ).rejects.toThrow('asked')
  })

  it('are looked up together when they are asked for together', async () => {
    const server = new FakeServer()
    const { find } = start(server)

    const keys = Array.from({ length: 450 }, (_, i) => `key ${i}`)
    const found = await Promise.all(keys.map(find))

    expect(found).toEqual(keys.map((key) => `${key} at 1`))
    expect(server.log).toEqual(['look up 200', 'look up 200', 'look up 50'])
  })
})

class FakeServer {
  readonly log: string[] = []
  name = 'first'
  said = 'at'
  version = 1
  isAway = false
  isHeld = false
  #held = Promise.withResolvers<void>()

  async ask(): Promise<Answer> {
    this.log.push('confirm')
    return await this.#answer([{ snapshot: String(this.version) }])
  }

  async query(_text: string, [keys = []]: readonly unknown[] = []): Promise<Answer> {
    const asked = keys as readonly string[]
    this.log.push(`look up ${asked.length}`)
    const snapshot = String(this.version)
    const rows = asked.map((key, i) => {
      return { i: i + 1, is_found: true, text: `${key} ${this.said} ${this.version}`, snapshot }
    })
    return await this.#answer(rows)
  }

  release(): void {
    this.isHeld = false
    this.#held.resolve()
  }

  async #answer(rows: Answer['rows']): Promise<Answer> {
    if (this.isAway) throw new CrossdockError('overloaded', 'nobody answers', { reason: AWAY })
    const server = this.name
    await turn()
    if (this.isHeld) await this.#held.promise
    return { rows, changes: 0, server }
  }
}

function start(server: FakeServer) {
  const query = { types: ['text'], find: 'SELECT' }
  const lookup = new Lookup(server, new Answers(server), query, ([row]) => String(row?.text))
  return { find: (key: string) => lookup.find(key, [key]) }
}

/** The event loop goes on: what comes next has arrived later. */
async function turn(): Promise<void> {
  await new Promise(setImmediate)
}
