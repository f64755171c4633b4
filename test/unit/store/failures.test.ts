import { expect, it } from 'vitest'
import { CrossdockError } from '../../../src/errors.ts'
import { storeFailure } from '../../../src/store/failures.ts'

it.each([
  ['ENOSPC', 'storeFull', /no space left; free space/],
  ['EDQUOT', 'storeFull', /no space left; free space/],
  ['SQLITE_FULL', 'storeFull', /no space left; free space/],
  ['EACCES', 'internal', /permission denied; give the user/],
  ['EROFS', 'internal', /read-only file system; mount/],
  ['SQLITE_READONLY_DBMOVED', 'internal', /read-only file system; mount/],
  ['SQLITE_BUSY_SNAPSHOT', 'overloaded', /locked by another process; try again/],
  ['EMFILE', 'overloaded', /too many open files; raise/],
  ['EIO', 'internal', /broken; look at the disk/],
])('turns %s into %s and says what to do', (code, kind, message) => {
  const cause = Object.assign(new Error('broken'), { code })
  const failure = storeFailure('write blob x', cause)

  expect(failure).toMatchObject({ kind, reason: code, cause })
  expect(failure.message).toMatch(/^cannot write blob x: /)
  expect(failure.message).toMatch(message)
})

it('passes on what is a CrossdockError already', () => {
  const cause = new CrossdockError('badDigest', 'wrong')

  expect(storeFailure('write', cause)).toBe(cause)
})
