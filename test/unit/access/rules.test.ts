import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readAccessRules } from '../../../src/access/rules.ts'
import { CONFIG } from '../../../src/config/schema.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossdock-rules-'))
})
afterEach(() => rm(folder, { recursive: true }))

async function read(auth: Readonly<Record<string, unknown>>) {
  const config = { ...CONFIG.parse({ auth: { htpasswd: join(folder, 'users'), ...auth } }) }
  const convert = { ...config.convert, defaultPlatforms: [] }
  return await readAccessRules(
    { ...config, convert },
    async () => true,
    () => 'crossdock.yaml:7:3',
  )
}

describe('users and policy of a configuration', () => {
  it.each([
    ['uncompressed', 'none'],
    ['esgz', 'estargz'],
    ['zstd', 'zstd'],
    ['zstd-max', 'zstd-max'],
    ['original', 'original'],
  ])('let whoever may have %s have the profile %s', async (said, profile) => {
    const rules = { who: ['*'], match: ['**'], profiles: [said] }
    const { policy } = await read({ mode: 'mtls', policy: [rules] })
    const alice = { name: 'alice', groups: [] }

    expect(policy.allows(alice, { repository: 'a/b', profile })).toBe(true)
    expect(policy.allows(alice, { repository: 'a/b', profile: 'gzip' })).toBe(false)
  })

  it('cannot be used when a line of the file is wrong, which is named without the secret', async () => {
    await writeFile(join(folder, 'users'), 'alice:hunter2\n')

    const failed = read({ mode: 'htpasswd' })

    await expect(failed).rejects.toThrow(/users:1: the password of alice is no bcrypt hash/)
    await expect(failed).rejects.not.toThrow(/hunter2/)
  })
})
