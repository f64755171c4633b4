/** What a connection remembers, and when it must not. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Database } from '../../../src/store/sqlite-database.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossdock-database-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function openWith(file: string, tag: string): Database {
  const db = Database.open(join(folder, file))
  db.run('INSERT INTO repositories (upstream, name) VALUES (?, ?)', 'docker.io', tag)
  return db
}

function nameIn(db: Database): unknown {
  return db.recall('name', () => db.get('SELECT name FROM repositories')?.name)
}

test('a catalog that takes the place of another answers for itself', () => {
  const db = openWith('old.sqlite', 'old')
  expect(nameIn(db)).toBe('old')

  db.adopt(openWith('new.sqlite', 'new'))

  expect(nameIn(db)).toBe('new')
  db.close()
})

test('an answer is asked for once, until something is written', () => {
  const db = openWith('one.sqlite', 'one')
  let asked = 0
  const ask = () => db.recall('count', () => ++asked)

  expect([ask(), ask()]).toEqual([1, 1])
  db.run('DELETE FROM repositories')
  expect(ask()).toBe(2)
  expect(() =>
    db.transaction(() => {
      ask()
      throw new Error('no')
    }),
  ).toThrow('no')
  expect(ask()).toBeGreaterThan(2)
  db.close()
})

test('what another connection commits is seen in the next turn of the event loop', async () => {
  const db = openWith('shared.sqlite', 'before')
  expect(nameIn(db)).toBe('before')

  const other = Database.open(join(folder, 'shared.sqlite'))
  other.run("UPDATE repositories SET name = 'after'")
  other.close()
  await new Promise(setImmediate)

  expect(nameIn(db)).toBe('after')
  db.close()
})
