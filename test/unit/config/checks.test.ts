import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { formatCatalogPlace, parseCatalogPlace } from '../../../src/config/catalog-place.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { ConfigError } from '../../../src/config/problem.ts'
import { CONFIG } from '../../../src/config/schema.ts'
import { workersOf } from '../../../src/config/workers.ts'
import { FORMATS } from '../../../src/format/formats.ts'

async function problemsOf(settings: Record<string, unknown>): Promise<readonly string[]> {
  const env = Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [
      `CROSSDOCK_${key.replaceAll(/[A-Z]/g, '_$&').toUpperCase()}`,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  )
  try {
    await loadConfig({ env, cwd: '/nowhere', systemFile: '/nowhere/at/all' })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

describe('where the store lies', () => {
  const S3 = 's3://bucket/a/prefix?endpoint=http://127.0.0.1:9000&region=eu-1&forcePathStyle=true'

  it('is the data folder, S3 below a catalog of its own, or S3 and PostgreSQL', async () => {
    for (const store of [
      {},
      { blobs: S3 },
      { blobs: 's3://bucket', localCache: '1GiB' },
      { catalog: 'postgres://user@db:5432/crossdock', blobs: S3 },
      { catalog: 'postgresql:///crossdock?host=/run/postgresql', blobs: S3 },
    ]) {
      expect(await problemsOf({ store })).toEqual([])
    }
  })

  it.each([
    [{ catalog: 'mysql://db' }, 'store.catalog: must be sqlite, or postgres://'],
    [
      { catalog: 'postgres://user:pass,word@one:5432,two:5432/db' },
      'store.catalog: must name one host, which leads to the primary also after a failover',
    ],
    [
      { catalog: 'postgres://db/x' },
      'for several servers, but store.blobs lies on the disk of one',
    ],
    [{ blobs: '/mnt/blobs' }, 'store.blobs: must be disk, or s3://BUCKET/PREFIX'],
    [{ blobs: 's3:///x' }, "has no bucket's name before its path: must be"],
    [{ blobs: 's3://Bucket_1/x' }, 'path, which is 3 to 63 lower-case letters'],
    [{ blobs: 's3://b/p' }, 'path, which is 3 to 63 lower-case letters'],
    [
      { blobs: 's3://key:secret@bucket/x' },
      'must not hold credentials, and neither may its endpoint; set AWS_ACCESS_KEY_ID',
    ],
    [
      { blobs: 's3://bucket?endpoint=http://key:secret@127.0.0.1:9000' },
      'store.blobs: must not hold credentials, and neither may its endpoint; set AWS_ACCESS_KEY_ID',
    ],
    [{ blobs: 's3://bucket?endpoint=http%3A%2F%2Fkey%40s3' }, 'must not hold credentials'],
    [{ blobs: 's3://bucket/a b' }, 'letters, digits'],
    [{ blobs: 's3://bucket/../x//y' }, 'letters, digits'],
    [
      { blobs: 's3://bucket?endpont=http://x' },
      'knows no endpont, did you mean endpoint?; it may have endpoint, region',
    ],
    [{ blobs: 's3://bucket?endpoint=here:9000' }, 'http:// or https:// URL as endpoint'],
    [{ blobs: 's3://bucket?forcePathStyle=yes' }, 'true or false as forcePathStyle'],
  ])('cannot be %j', async (store, text) => {
    const [problem = '', ...more] = await problemsOf({ store })

    expect(problem).toContain(text)
    expect(problem).not.toContain('secret')
    expect(more).toEqual([])
  })

  it.each([
    's3://key:hush@bucket/x',
    's3://bucket?endpoint=http://key:hush@127.0.0.1:9000',
    's3://bucket?endpoint=http%3A%2F%2Fkey%3Ahush%40127.0.0.1',
    's3://bucket?region=eu-1&endpoint=HTTP:key:hush@127.0.0.1',
  ])('is refused by a line of the file that does not say the credentials in %s', async (blobs) => {
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-places-'))
    const file = join(folder, 'crossdock.yaml')
    await writeFile(file, `store:\n  blobs: "${blobs}"\n`)

    const error: unknown = await loadConfig({ env: {}, cwd: folder, file }).catch((cause) => cause)

    expect(String(error)).toContain(`${file}:2:10: store.blobs: must not hold credentials`)
    expect(String(error)).not.toContain('hush')
    await rm(folder, { recursive: true })
  })

  const secrets = [
    'S3cr3t@pg/x',
    'hunter5/',
    'hunter5:9',
    'hunter5?x',
    'abc#def',
    'p%zz',
    '%ff',
    'a b',
  ]

  it.each(secrets)(
    'takes the password %j by its escapes alone, and never says it',
    async (secret) => {
      const address = (login: string) => `postgres://crossdock:${login}@127.0.0.1:5432/crossdock`
      const store = { catalog: address(secret), blobs: S3 }
      const [problem = '', ...more] = await problemsOf({ store })
      const right = parseCatalogPlace(address(encodeURIComponent(secret)))

      expect(problem).toContain(
        '@ / : ? # % and spaces of a user name and password written as %40 %2F',
      )
      expect(problem).toMatch(/, not "postgres:\/\/\(hidden\)@127\.0\.0\.1:5432\/crossdock"$/)
      expect(more).toEqual([])
      expect('kind' in right && formatCatalogPlace(right, '(hidden)')).toBe(address('(hidden)'))
    },
  )

  it.each([
    [
      'postgres://user@db/x?sslmod=verify-full',
      'knows no sslmod, did you mean sslmode?; it may have',
    ],
    ['postgres://user@db/x?statement_timeout=0', 'knows no statement_timeout; it may have sslmode'],
    [
      'postgres://user@db/x?sslmode=on',
      'disable, prefer, require, verify-ca, verify-full, no-verify as',
    ],
    ['postgres://user@db/x?sslmode=', 'as sslmode'],
    ['postgres://user@db/x?sslmode=disable&sslmode=require', 'must have sslmode once'],
    ['postgres:///x?host=one,two', 'must name one host'],
    ['postgres://db/x#y', 'written as %40'],
  ])('has no catalog at %s', async (catalog, text) => {
    expect((await problemsOf({ store: { catalog, blobs: S3 } })).join()).toContain(text)
  })

  it.each([
    [
      { blobs: 's3://bucket/prefix?z=1&secret=hunter5' },
      'knows no z;',
      '?z=(hidden)&secret=(hidden)"',
    ],
    [{ blobs: 's3://bucket?region=EU&z=hunter5' }, 'knows no z;', '?region=EU&z=(hidden)"'],
    [
      {
        blobs:
          's3://bucket?endpoint=http://127.0.0.1:9000&region=eu-central-1&forcePathStyl=hunter5',
      },
      'knows no forcePathStyl, did you mean forcePathStyle?; it may have',
      '&forcePathStyl=(hidden)"',
    ],
    [
      { blobs: `s3://bucket?z=1&region=${'a'.repeat(43)}&y=hunter5&x=hunter5` },
      'knows no z;',
      '&y=(hidden)..."',
    ],
    [
      { catalog: 'postgres://db/x?password=p%40hunter5&sslmode=on', blobs: S3 },
      'as sslmode',
      'x?password=(hidden)&sslmode=on"',
    ],
    [
      { catalog: 'postgres://me:hunter5/crossdock', blobs: S3 },
      'must be sqlite',
      'not "postgres://me:(hidden)"',
    ],
  ])('is spoken of by keys: %j', async (store, text, shown) => {
    const [problem = ''] = await problemsOf({ store })

    expect(problem).toContain(text)
    expect(problem).toContain(shown)
    expect(problem).not.toContain('hunter5')
  })
})

describe('the door for other servers', () => {
  const shared = { catalog: 'postgres://user@db/crossdock', blobs: 's3://bucket' }

  it('is opened where there may be others, on a port of its own', async () => {
    const apart = { listen: '127.0.0.2:5000', advertise: '10.0.0.7:5000' }
    for (const replicas of [{}, { listen: '0.0.0.0:5002' }, { listen: ':0' }, apart]) {
      const settings = { listen: [{ address: '127.0.0.1:5000' }], store: shared, replicas }
      expect(await problemsOf(settings)).toEqual([])
    }
  })

  it.each([
    [
      { listen: '0.0.0.0:5002' },
      {},
      'replicas.listen: is for several servers, but store.catalog is',
    ],
    [{ listen: ':5002' }, { blobs: 's3://bucket' }, 'replicas.listen: is for several servers'],
    [{ advertise: '10.0.0.7:5002' }, shared, 'replicas.advertise: needs replicas.listen beside it'],
    [{ listen: '127.0.0.1:5000' }, shared, 'replicas.listen: 127.0.0.1:5000 is taken by another'],
    [{ listen: '0.0.0.0:5000' }, shared, 'replicas.listen: 0.0.0.0:5000 is taken by another'],
    [{ listen: '[::]:5001' }, shared, 'replicas.listen: [::]:5001 is taken by another'],
  ])('is refused as %j where the store is %j', async (replicas, store, text) => {
    const doors = { listen: [{ address: '127.0.0.1:5000' }], admin: '127.0.0.1:5001' }
    const [problem = '', ...more] = await problemsOf({ ...doors, replicas, store })

    expect(problem).toContain(text)
    expect(more).toEqual([])
  })
})

it.each(['postgres://one,two/db?password=hush&sslmode=require', 'mysql://db?user=x&password=hush'])(
  'no password of a place that cannot be used is said, as in %s',
  async (catalog) => {
    const [problem] = await problemsOf({ store: { catalog } })

    expect(problem).toContain('store.catalog: must')
    expect(problem).not.toContain('hush')
  },
)

describe('workers', () => {
  it('share a disk, and no store on S3', async () => {
    const store = { blobs: 's3://bucket' }
    const [problem = '', ...more] = await problemsOf({ workers: 2, store })

    expect(problem).toContain('workers: share one disk, but store.blobs lies on S3')
    expect(problem).toContain('start several servers')
    expect(more).toEqual([])
    for (const settings of [{ workers: 'auto', store }, { workers: 1, store }, { workers: 2 }]) {
      expect(await problemsOf(settings)).toEqual([])
    }
    for (const workers of [0, 0.5, 65, -1, 'all']) {
      const said = (await problemsOf({ workers })).join()
      expect(said).toContain('workers: must be auto or a whole number from 1 to 64, not ')
    }
  })

  it.each([
    ['auto', 1, 1],
    ['auto', 3, 1],
    ['auto', 4, 2],
    ['auto', 12, 6],
    ['auto', 128, 8],
    ['auto', 12, 2, 2],
    ['auto', 12, 1, 0.5],
    [3, 1, 3, 1],
  ] as const)('are, for %s on %i processors, %i', (workers, cores, count, gib: number = 64) => {
    const store = CONFIG.parse({}).store

    expect(workersOf({ workers, store }, { cores, memory: gib * 1024 ** 3 })).toBe(count)
  })

  it('is one where blobs lie on S3 and nobody has said how many', () => {
    const { store } = CONFIG.parse({ store: { blobs: 's3://bucket' } })

    expect(workersOf({ workers: 'auto', store }, { cores: 64, memory: 1024 ** 4 })).toBe(1)
  })
})

describe('references of the configuration', () => {
  it('accepts what names built-in and own profiles', async () => {
    const problems = await problemsOf({
      listen: [{ address: '127.0.0.1:0', profile: 'uncompressed' }],
      profiles: { best: { format: 'zstd', level: 19 } },
      rules: [{ match: 'docker.io/**', profile: 'best' }],
    })

    expect(problems).toEqual([])
  })

  it.each([
    [
      'a listener',
      { listen: [{ address: '127.0.0.1:0', profile: 'zst' }] },
      'listen[0].profile',
      'mean zstd?',
    ],
    [
      'a rule',
      { rules: [{ match: '**', profile: 'estagz' }] },
      'rules[0].profile',
      'no such profile',
    ],
  ])('refuses an unknown profile of %s', async (_who, settings, path, hint) => {
    const [problem, ...more] = await problemsOf(settings)

    expect(problem).toContain(path)
    expect(problem).toContain(hint)
    expect(more).toEqual([])
  })

  it('attaches profiles whose forms can be found among referrers, and no others', async () => {
    const own = { lazy: { format: 'soci', minLayerSize: '1MiB' } }
    const rule = (...attach: string[]) => ({ profiles: own, rules: [{ match: '**', attach }] })
    expect(await problemsOf(rule('lazy', 'nydus', 'nydus-ref'))).toEqual([])
    for (const [name, why] of [
      ['zstd', 'cannot stand by as a referrer; profiles of soci, nydus, nydus-ref can'],
      ['original', 'cannot stand by'],
      ['nyduss', 'no such profile'],
    ] as const) {
      const problems = await problemsOf(rule('soci', name))
      expect(problems).toHaveLength(1)
      expect(problems[0]).toContain(`rules[0].attach[1]: ${why}`)
    }
  })

  it.each([
    [
      'an unknown format',
      { x: { format: 'bzip2' } },
      `profiles.x.format: must be one of ${FORMATS.map((one) => one.name).join(', ')}`,
    ],
    ['an unknown option', { x: { format: 'zstd', levle: 3 } }, 'profiles.x.levle: unknown key'],
    [
      'an option of another format',
      { x: { format: 'none', level: 3 } },
      'profiles.x.level: unknown key',
    ],
    [
      'an option out of range',
      { x: { format: 'zstd', level: 23 } },
      'must be a whole number from 1 to 19, not 23',
    ],
    [
      'an option of another type',
      { x: { format: 'gzip', level: '6' } },
      'must be a whole number from 1 to 9, not "6"',
    ],
    [
      'a built-in name with another meaning',
      { zstd: { format: 'gzip' } },
      'is the built-in profile zstd',
    ],
    [
      'an alias with another meaning',
      { uncompressed: { format: 'none' } },
      'is the built-in profile none',
    ],
    ['another original', { original: { format: 'gzip' } }, 'always means the source untouched'],
  ])('refuses %s', async (_what, profiles, expected) => {
    const problems = await problemsOf({ profiles })

    expect(problems.join('\n')).toContain(expected)
  })

  it('lets a built-in profile have other options', async () => {
    expect(await problemsOf({ profiles: { zstd: { format: 'zstd', level: 9 } } })).toEqual([])
  })

  it.each([
    [
      'a default upstream that is not there',
      { defaultUpstream: 'local' },
      'is not under upstreams; set this to one that is there: ',
    ],
    [
      'both passwords',
      { upstreams: { 'docker.io': { username: 'u', password: 'p', passwordFile: '/f' } } },
      'passwordFile',
    ],
    [
      'a password without user',
      { upstreams: { 'docker.io': { password: 'p' } } },
      'needs username',
    ],
    [
      'a user without password',
      { upstreams: { 'docker.io': { username: 'u' } } },
      'needs password or passwordFile',
    ],
    ['a certificate without key', { upstreams: { 'docker.io': { cert: '/c' } } }, 'needs key'],
    ['a key without certificate', { upstreams: { 'docker.io': { key: '/k' } } }, 'needs cert'],
    [
      'Docker Hub under two names',
      { upstreams: { 'docker.io': {}, 'index.docker.io': {} } },
      'the same registry as docker.io',
    ],
    [
      'two listeners on one address',
      { listen: [{ address: '127.0.0.1:5000' }, { address: '127.0.0.1:5000' }] },
      'taken by another listener',
    ],
    [
      'the admin listener on a taken address',
      { listen: [{ address: '127.0.0.1:5001' }] },
      'admin: 127.0.0.1:5001 is taken',
    ],
    [
      'waits in the wrong order',
      { convert: { headerWait: '1h' } },
      'convert.headerWait: must not be longer',
    ],
  ])('refuses %s', async (_what, settings, expected) => {
    const problems = await problemsOf(settings)

    expect(problems.join('\n')).toContain(expected)
    expect(problems).toHaveLength(1)
  })

  it('takes the default upstream by any name of Docker Hub', async () => {
    expect(await problemsOf({ defaultUpstream: 'registry-1.docker.io' })).toEqual([])
  })

  it('takes a default upstream that any registry may be', async () => {
    const settings = { defaultUpstream: 'registry.example', allowAnyUpstream: 'true' }

    expect(await problemsOf(settings)).toEqual([])
  })

  it('reports wrong references beside wrong values, all at once', async () => {
    const problems = await problemsOf({
      cache: { maxSize: 'much' },
      defaultUpstream: 'nowhere',
      rules: [{ match: '**', profile: 'nothing' }],
    })

    expect(problems).toHaveLength(3)
  })
})
