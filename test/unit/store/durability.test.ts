/** What is durable when a promise resolves, where two do the same at once or a power cut came before. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { digestOf } from '../../../src/oci/digest.ts'
import { layoutOf, makeFolder } from '../../../src/store/layout.ts'
import { FsJournal } from '../../../src/store/fs-journal.ts'

const APP = { upstream: 'origin', name: 'app' }

/** Folders whose sync waits for the gate. */
const gates = vi.hoisted(() => new Map<string, Promise<unknown>>())
/** Folders that another task makes as soon as it shows that they are missing. */
const rivals = vi.hoisted(() => new Set<string>())
const syncs = vi.hoisted(() => [] as string[])

vi.mock('node:fs/promises', async (importActual) => {
  const actual = await importActual<typeof import('node:fs/promises')>()
  const open: typeof actual.open = async (path, ...rest) => {
    const handle = await actual.open(path, ...rest)
    const sync = handle.sync.bind(handle)
    handle.sync = async () => {
      syncs.push(String(path))
      await gates.get(String(path))
      await sync()
    }
    return handle
  }
  const mkdir = async (path: string, options: object) => {
    try {
      return await actual.mkdir(path, options)
    } catch (error) {
      if (rivals.delete(dirname(path))) await actual.mkdir(dirname(path))
      throw error
    }
  }
  return { ...actual, open, mkdir }
})

let data: string

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'crossdock-durability-'))
  syncs.length = 0
})

afterEach(async () => {
  gates.clear()
  await rm(data, { recursive: true, force: true })
})

describe('a folder', () => {
  test('that another task has made is ready when its name is durable, not before', async () => {
    const gate = Promise.withResolvers<void>()
    gates.set(data, gate.promise)
    const ready: string[] = []
    const first = makeFolder(join(data, 'ab')).then(() => ready.push('first'))
    await vi.waitFor(() => expect(syncs).toEqual([data]))
    const second = makeFolder(join(data, 'ab')).then(() => ready.push('second'))
    await vi.waitFor(() => expect(syncs).toEqual([data, data]))
    expect(ready).toEqual([])
    gate.resolve()
    await Promise.all([first, second])
    await makeFolder(join(data, 'ab'))
    expect(syncs).toEqual([data, data])
  })

  test('that a process before this one has made is made durable once', async () => {
    await mkdir(join(data, 'ab'))
    await makeFolder(join(data, 'ab'))
    await makeFolder(join(data, 'ab'))
    expect(syncs).toEqual([data])
  })
})

test('a folder can be made although another task makes its parent in that moment', async () => {
  const parent = join(data, 'sha256')
  rivals.add(parent)
  await makeFolder(join(parent, 'ab'))
  expect(await readdir(parent)).toEqual(['ab'])
})

describe('a journal of proofs', () => {
  const digest = digestOf(Buffer.from('blob'))
  const link = { digest, size: 4, standing: 'proven' as const }

  test('that another task has begun is durable with its name', async () => {
    const journal = new FsJournal(layoutOf(data))
    const folder = dirname(layoutOf(data).proofs(digest))
    await makeFolder(folder)
    const gate = Promise.withResolvers<void>()
    gates.set(folder, gate.promise)
    const ready: string[] = []
    const first = journal.prove(APP, [link]).then(() => ready.push('first'))
    await vi.waitFor(() => expect(syncs).toContain(folder))
    const second = journal.prove({ ...APP, name: 'other' }, [link]).then(() => ready.push('second'))
    await vi.waitFor(() => expect(syncs.filter((path) => path === folder)).toHaveLength(2))
    expect(ready).toEqual([])
    gate.resolve()
    await Promise.all([first, second])
  })

  test.each([
    ['cut off', '{"upstream":"orig'],
    ['zeros', `{"upstream":"or${'\0'.repeat(20)}`],
  ])('whose last line a power cut left %s loses no other line', async (_, torn) => {
    const layout = layoutOf(data)
    await makeFolder(dirname(layout.proofs(digest)))
    await writeFile(layout.proofs(digest), torn)
    const journal = new FsJournal(layout)
    await journal.prove(APP, [link])
    await journal.prove({ ...APP, name: 'other' }, [link])
    const found: string[] = []
    for await (const { name } of journal.listProofs()) found.push(name)
    expect(found).toEqual(['app', 'other'])
  })
})
