import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { profilesOf } from '../../../src/config/profiles.ts'
import { FORMATS } from '../../../src/format/formats.ts'

async function profilesWith(env: Record<string, string> = {}) {
  const { config } = await loadConfig({ env, cwd: '/nowhere', systemFile: '/nowhere/at/all' })
  return profilesOf(config)
}

describe('profiles', () => {
  it('has one for every format, the variants and original', async () => {
    const { names } = await profilesWith()

    expect(names).toEqual(
      expect.arrayContaining([...FORMATS.map((one) => one.name), 'original', 'zstd-max']),
    )
  })

  it('finds a profile by its alias, and lists the alias as a suffix only', async () => {
    const profiles = await profilesWith()

    expect(profiles.find('uncompressed')).toBe(profiles.find('none'))
    expect(profiles.suffixes).toContain('uncompressed')
    expect(profiles.names).not.toContain('uncompressed')
  })

  it('gives zstd its default level and zstd-max the highest', async () => {
    const profiles = await profilesWith()

    expect(profiles.find('zstd')?.options).toEqual({ level: 3 })
    expect(profiles.find('zstd-max')?.options).toEqual({ level: 19 })
  })

  it('has no format for original', async () => {
    expect((await profilesWith()).find('original')).toMatchObject({
      format: undefined,
      options: {},
    })
  })

  it('fills in what an own profile leaves out', async () => {
    const profiles = await profilesWith({
      CROSSDOCK_PROFILES: '{"fleet":{"format":"zstd","platforms":["linux/arm64/v8"]}}',
      CROSSDOCK_CONVERT__ON_SLOW: 'original',
    })

    expect(profiles.find('fleet')).toMatchObject({
      name: 'fleet',
      options: { level: 3 },
      platforms: [{ os: 'linux', architecture: 'arm64', variant: 'v8' }],
      onSlow: 'original',
    })
  })

  it('keeps a built-in profile under its name when its options change', async () => {
    const profiles = await profilesWith({
      CROSSDOCK_PROFILES: '{"zstd":{"format":"zstd","level":9}}',
    })

    expect(profiles.find('zstd')?.options).toEqual({ level: 9 })
    expect(profiles.names.filter((name) => name === 'zstd')).toHaveLength(1)
  })

  it('knows nothing of names that are properties of objects', async () => {
    const profiles = await profilesWith()

    expect(['constructor', '__proto__', 'toString'].map((name) => profiles.find(name))).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })
})
