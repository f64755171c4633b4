import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { Coordination } from '../../../src/store/sqlite-coordination.ts'
import { SqliteNotices } from '../../../src/store/sqlite-notices.ts'

it('tells what was said while the file could not be read, as soon as it can be', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-notices-'))
  const path = join(folder, 'coordination.sqlite')
  using near = Coordination.open(path)
  using far = Coordination.open(path)
  using notices = new SqliteNotices(near)
  const heard = Promise.withResolvers<unknown>()
  using _ = await notices.subscribe('x', heard.resolve)
  const failed = Promise.withResolvers<void>()
  vi.spyOn(near, 'all').mockImplementationOnce(() => {
    failed.resolve()
    throw new Error('disk I/O error')
  })

  await new SqliteNotices(far).publish('x', 'one')
  await failed.promise

  expect(await heard.promise).toEqual({ kind: 'told', text: 'one' })
  await rm(folder, { recursive: true })
})
