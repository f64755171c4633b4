import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ConfigSources, loadConfig } from '../../../src/config/load.ts'
import { ConfigError } from '../../../src/config/problem.ts'
import { formatConfig, showConfig } from '../../../src/config/show.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossdock-config-'))
})
afterEach(() => rm(folder, { recursive: true }))

async function write(text: string, name = 'crossdock.yaml'): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, text)
  return path
}

function load(more: Partial<ConfigSources> = {}) {
  return loadConfig({ env: {}, cwd: folder, systemFile: join(folder, 'system.yaml'), ...more })
}

async function problems(more: Partial<ConfigSources> = {}): Promise<readonly string[]> {
  const error = await load(more).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(ConfigError)
  return error instanceof ConfigError ? error.problems : []
}

describe('loading the configuration', () => {
  it('needs no file', async () => {
    const { config, origin } = await load({ arch: 'arm64' })

    expect(config).toMatchObject({
      listen: [{ host: '0.0.0.0', port: 5000 }],
      admin: { host: '127.0.0.1', port: 5001 },
      data: join(folder, 'data'),
      defaultUpstream: 'docker.io',
      cache: { maxSize: 50 * 2 ** 30, lease: 3_600_000, tagWindow: 60_000, offline: false },
      convert: { headerWait: 20_000, waitBudget: 600_000, defaultPlatforms: ['linux/arm64'] },
      shutdownGrace: 8000,
    })
    expect(Object.keys(config.upstreams)).toContain('registry.gitlab.com')
    expect(origin.file).toBeUndefined()
  })

  it('names the variable that set an entry of a list, not the file that it overrode', async () => {
    await write('listen:\n  - address: 127.0.0.1:5000\n')
    expect(await problems({ env: { CROSSDOCK_LISTEN__0__ADDRESS: 'nowhere' } })).toEqual([
      expect.stringMatching(/^CROSSDOCK_LISTEN__0__ADDRESS: listen\[0\]\.address: must be /),
    ])
  })

  it('shows upstreams where those lack the default one', async () => {
    await write('data: d\nupstreams:\n  mine: { url: https://mine.example }\n')
    expect(await problems()).toEqual([
      expect.stringMatching(/yaml:2:1: defaultUpstream: "docker.io" .* set this to .*: mine$/),
    ])
    await write('defaultUpstream: ours\nupstreams:\n  mine: { url: https://mine.example }\n')
    expect(await problems()).toEqual([expect.stringMatching(/yaml:1:18: defaultUpstream: "ours"/)])
  })

  it('takes the file that is named, else CROSSDOCK_CONFIG, else ./crossdock.yaml, else the system file', async () => {
    const system = await write('shutdownGrace: 1s', 'system.yaml')
    expect((await load()).origin.file).toBe(system)
    const here = await write('shutdownGrace: 2s')
    expect((await load()).origin.file).toBe(here)
    const byEnv = await write('shutdownGrace: 3s', 'env.yaml')
    expect((await load({ env: { CROSSDOCK_CONFIG: 'env.yaml' } })).origin.file).toBe(byEnv)
    const named = await write('shutdownGrace: 4s', 'named.yaml')
    const loaded = await load({ file: 'named.yaml', env: { CROSSDOCK_CONFIG: 'env.yaml' } })
    expect(loaded.origin.file).toBe(named)
    expect(loaded.config.shutdownGrace).toBe(4000)
  })

  it('fails when a file that was named is missing', async () => {
    expect((await problems({ file: 'absent.yaml' })).join()).toContain(
      'cannot read the configuration file',
    )
  })

  it('lets the environment win over the file, and flags over both', async () => {
    await write('cache: { maxSize: 1GiB, lease: 2h }\nadmin: 127.0.0.1:7001\n')

    const { config, origin } = await load({
      env: { CROSSDOCK_CACHE__MAX_SIZE: '2GiB', CROSSDOCK_ADMIN: '127.0.0.1:7002' },
      flags: { admin: 'off', listen: '[::1]:0', data: 'elsewhere' },
    })

    expect(config).toMatchObject({
      cache: { maxSize: 2 ** 31, lease: 7_200_000 },
      admin: undefined,
      listen: [{ host: '::1', port: 0 }],
      data: join(folder, 'elsewhere'),
    })
    expect(origin.of(['cache', 'maxSize'])).toBe('CROSSDOCK_CACHE__MAX_SIZE')
    expect(origin.of(['cache', 'lease'])).toBe(`${join(folder, 'crossdock.yaml')}:1:32`)
    expect(origin.of(['cache', 'tagWindow'])).toBe('default')
    expect(origin.of(['admin'])).toBe('--admin')
  })

  it('says file, line, column and path of an unknown key and a wrong value', async () => {
    const path = await write('cache:\n  maxSize: 1GiB\n  maxsize: 2GiB\n  lease: soon\n')

    expect(await problems()).toEqual([
      expect.stringMatching(
        new RegExp(
          `^${path}:3:12: cache.maxsize: unknown key, did you mean maxSize\\? allowed are `,
        ),
      ),
      expect.stringMatching(new RegExp(`^${path}:4:10: cache.lease: must be a duration`)),
    ])
  })

  it('says mistakes in the order of lines, whatever finds them', async () => {
    const path = await write(
      'rules: [{ match: "**", profile: none-such }]\nadmin: nowhere\n\nprofiles:\n  soci: { format: soci, spanSize: 1 }\n\n\n\n\ncache: { lease: soon }\n',
    )
    const found = await problems()
    expect(found.map((one) => Number(one.slice(path.length + 1).split(':')[0]))).toEqual([
      1, 2, 5, 10,
    ])
    expect(found[0]?.match(/\bsoci\b/g)).toHaveLength(1)
    expect(found[2]).toContain('from 64KiB to 64MiB')
  })

  it('refuses an unknown variable of ours, but not those of a Kubernetes service', async () => {
    const env = {
      CROSSDOCK_SERVICE_HOST: '10.0.0.1',
      CROSSDOCK_PORT_5000_TCP: 'tcp://10.0.0.1:5000',
    }

    await expect(load({ env })).resolves.toBeDefined()
    expect((await problems({ env: { CROSSDOCK_CACHE__MAXSIZE: '1' } })).join()).toContain(
      'no such key',
    )
  })

  it('fills in variables, and fails for one that is not set', async () => {
    await write(
      'upstreams: { "docker.io": { username: me, password: "$' +
        '{HUB_PASSWORD}" } }\nallowOpenCredentials: true\n',
    )

    const { config } = await load({ env: { HUB_PASSWORD: 'secret' } })
    expect(config.upstreams['docker.io']?.password).toBe('secret')
    expect((await problems()).join()).toContain('HUB_PASSWORD is not set')
  })

  it('never says a secret, neither in problems nor when shown', async () => {
    await write(
      'upstreams: { "docker.io": { username: me, password: hunter2 } }\n' +
        'store: { catalog: "postgres://me:hunter2@db/crossdock?password=hunter2", blobs: "s3://bucket" }\n',
    )

    const loaded = await load()

    expect(formatConfig(loaded)).not.toContain('hunter2')
    expect(JSON.stringify(showConfig(loaded))).not.toContain('hunter2')
    await write('upstreams: { "docker.io": { password: [hunter2] } }\n')
    expect((await problems()).join()).not.toContain('hunter2')
  })

  it('shows a configuration that loads as the same configuration', async () => {
    await write(
      'listen: [{ address: "[::1]:0", profile: zstd }]\nadmin: off\ncache: { lease: 90m, maxSize: 1500MB }\n' +
        'profiles: { best: { format: zstd, level: 19, platforms: all } }\nrules: [{ match: "**", profile: best }]\n' +
        'store: { catalog: "postgres://me@db:5433/crossdock", blobs: "s3://b-1/p/q?endpoint=http://[::1]:9000&region=x-1&forcePathStyle=false" }\n',
    )
    const loaded = await load()

    const again = await load({ file: await write(formatConfig(loaded), 'shown.yaml') })

    expect(again.config).toEqual(loaded.config)
  })
})
