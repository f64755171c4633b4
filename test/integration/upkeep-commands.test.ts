/** `crossdock gc` and `remove` on a store that a person looks at. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Workplace } from '../helpers/command.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'
import { filesOfBlob, loseCatalog, refillCatalog } from '../helpers/stored.ts'

let registry: FakeRegistry
let place: Workplace

beforeAll(async () => {
  registry = await FakeRegistry.start()
  place = await Workplace.create()
  await place.write(
    'crossdock.yaml',
    JSON.stringify({
      defaultUpstream: 'local',
      upstreams: { local: { url: registry.url } },
      convert: { defaultPlatforms: ['linux/amd64'] },
      cache: { maxSize: '100KiB', lease: '0' },
    }),
  )
})

afterAll(async () => {
  await place[Symbol.asyncDispose]()
  await registry[Symbol.asyncDispose]()
})

test('a dry run says what would go, why and where it comes back from, and touches nothing', async () => {
  const image = await registry.pushImage('team/app', '1', { layers: 3 })
  await place.run('stage', 'team/app:1-zstd')

  const text = await place.run('gc', '--dry-run')
  expect(text).toMatchObject({ code: 0 })
  expect(text.out).toContain('budget   100 KiB (cache.maxSize)')
  expect(text.out).toContain('local/team/app')
  expect(text.out).toContain('least recently used')

  const planned = JSON.parse((await place.run('gc', '--dry-run', '--json')).out)
  expect(planned).toMatchObject({ dryRun: true, overBy: 0 })
  const digests = planned.victims.map(({ digest }: { digest: string }) => digest)
  expect(digests).toContain(image.layers[0]?.digest)
  const [first] = planned.victims
  expect(first.images.join()).toMatch(/^local\/team\/app:1(?:-zstd)?(?:,|$)/)
  expect(text.out).toMatch(/local\/team\/app:1-zstd +\d/)
  expect(digests).not.toContain(image.digest)

  const done = JSON.parse((await place.run('gc', '--json')).out)
  expect(done.dryRun).toBe(false)
  expect(done.victims).toEqual(planned.victims)
  expect(JSON.parse((await place.run('gc', '--json')).out)).toMatchObject({ victims: [] })
})

test('what only a removed name led to goes, and what others share stays', async () => {
  const one = await registry.pushImage('team/one', '1', {
    layers: [{ size: 9_000 }, { size: 8_000 }],
  })
  const shared = one.layers[0]
  if (shared === undefined) throw new Error('no layer')
  await registry.pushImage('team/two', '1', { layers: [shared] })
  await place.run('stage', 'team/one:1', 'team/two:1')
  const big = ['--config', await place.write('big.yaml', bigStore())]

  expect(JSON.parse((await place.run('gc', '--json', ...big)).out).victims).toEqual([])
  await place.run('remove', 'team/one:1')

  const { victims } = JSON.parse((await place.run('gc', '--json', ...big)).out)
  const gone = new Map(
    victims.map(({ digest, reason }: Record<string, string>) => [digest, reason]),
  )
  const only = [one.digest, one.config.digest, one.layers[1]?.digest]
  expect(gone).toEqual(new Map(only.map((digest) => [digest, 'forgotten'])))
})

test('list says of what was just pulled that it was used, before last uses are written', async () => {
  await using proxy = await TestProxy.start({ registry })
  for (const name of ['first', 'second']) {
    await registry.pushImage(`team/${name}`, '1')
    const before = Date.now()
    await pull(proxy.base, `team/${name}`, '1-zstd')
    const listed = await place.run('list', `origin/team/${name}`, '--json', '--data', proxy.data)
    const rows: readonly { profile: string; lastUsed: string | null }[] = JSON.parse(listed.out)
    expect(rows.map(({ profile }) => profile)).toEqual(['original', 'zstd'])
    for (const { lastUsed } of rows) {
      expect(Date.parse(lastUsed ?? '')).toBeGreaterThanOrEqual(before)
    }
  }
})

test('the pin of a name goes with it, and those of its forms, but no others', async () => {
  for (const tag of ['1', '2']) await registry.pushImage('team/kept', tag)
  await place.run('stage', 'team/kept:1', 'team/kept:1-zstd', 'team/kept:2')
  await place.run('pin', 'team/kept:1', 'team/kept:1-zstd', 'team/kept:2')

  const gone = await place.run('remove', 'team/kept:1')
  expect(gone).toMatchObject({ code: 0 })
  expect(gone.out).toContain('local/team/kept:1 is pinned no more')
  expect(gone.out).toContain('local/team/kept:1-zstd is pinned no more')
  await place.run('stage', 'team/kept:1', 'team/kept:1-zstd')
  const rows: readonly { name: string; profile: string; pinned: boolean }[] = JSON.parse(
    (await place.run('list', 'team/kept', '--json')).out,
  )
  expect(rows.map((row) => [row.name, row.profile, row.pinned])).toEqual([
    ['local/team/kept:1', 'original', false],
    ['local/team/kept:1', 'zstd', false],
    ['local/team/kept:2', 'original', true],
  ])
  await place.run('unpin', 'team/kept:2')
})

test('verify tells of layers that a pinned image lacks, has them again, and fails when it cannot', async () => {
  const image = await registry.pushImage('team/owed', '1', { layers: [{ size: 9_000 }] })
  const data = join(place.folder, 'owed')
  const [layer = ''] = image.layers.map(({ digest }) => digest)
  await place.run('stage', 'team/owed:1', '--data', data)
  const lose = async () => {
    for (const path of await filesOfBlob(data, layer)) await rm(path)
  }
  const verify = () => place.run('verify', 'team/owed:1', '--data', data)

  await lose()
  expect(await verify()).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^\d+ sound, 0 healed/),
  })
  await place.run('pin', 'team/owed:1', '--data', data)
  const healed = await verify()
  expect(healed).toMatchObject({ code: 0 })
  expect(healed.out).toContain(
    `healed  blob ${layer}: is missing, although it is pinned; had again`,
  )

  await lose()
  const offline = await place.write(
    'offline.yaml',
    JSON.stringify({
      ...{ defaultUpstream: 'local', upstreams: { local: { url: registry.url } } },
      cache: { offline: true },
    }),
  )
  for (const what of ['team/owed:1', '--all']) {
    const failed = await place.run('verify', what, '--data', data, '--config', offline)
    expect(failed).toMatchObject({ code: 1 })
    expect(failed.out).toContain(`failed  blob ${layer}: is missing, although it is pinned`)
  }
})

test('manifests beyond their share go before anybody’s layers, and are served by digest all the same', async () => {
  const other = await registry.pushImage('team/other', '1', { layers: [{ size: 20_000 }] })
  const greedy = await Promise.all(
    Array.from({ length: 8 }, (_, i) =>
      registry.pushImage('team/greedy', String(i), {
        layers: [{ size: 100 }],
        annotations: { padding: `${i}`.repeat(30_000) },
      }),
    ),
  )
  const data = ['--data', join(place.folder, 'greedy')]
  await place.run('stage', 'team/other:1', ...data)
  const names = greedy.map((_, i) => `team/greedy:${i}-zstd`)
  const staged = await place.run('stage', ...names, '--json', ...data)
  const made = [...staged.out.matchAll(/"digest": ?"(sha256:[0-9a-f]+)"/g)].map(([, one]) => one)
  expect(made.length).toBe(greedy.length)

  const { victims, kept } = JSON.parse((await place.run('gc', '--json', ...data)).out)

  const gone: string[] = victims.map(({ digest }: { digest: string }) => digest)
  expect(kept.described).toBeLessThan(100 * 1024)
  expect(gone).not.toContain(other.layers[0]?.digest)
  expect(gone.length).toBeGreaterThan(8)
  expect((await place.run('verify', ...data)).code).toBe(0)
  expect(JSON.parse((await place.run('gc', '--json', ...data)).out).victims).toEqual([])
  const evicted = made.filter((digest) => gone.includes(digest ?? ''))
  expect(evicted.length).toBeGreaterThan(3)
  for (const digest of evicted) {
    const again = await place.run('stage', `team/greedy@${digest}`, '--json', ...data)
    expect(again).toMatchObject({ code: 0, out: expect.stringContaining(digest ?? '') })
  }
})

test('what is pinned stays beyond any budget, also when the catalog is lost, until it is unpinned', async () => {
  const image = await registry.pushImage('team/pinned', '1', { layers: [{ size: 30_000 }] })
  const data = ['--data', join(place.folder, 'pins')]
  const tiny = ['--config', await place.write('tiny.yaml', bigStore('1KiB')), ...data]
  expect((await place.run('pin', 'team/pinned:1', ...data)).code).toBe(2)
  await place.run('stage', 'team/pinned:1', 'team/pinned:1-zstd', ...data)
  expect(await place.run('pin', 'team/pinned:2', ...data)).toMatchObject({
    code: 1,
    err: expect.stringContaining('crossdock stage local/team/pinned:2'),
  })

  expect(await place.run('pin', 'team/pinned:1-zstd', ...data)).toMatchObject({
    code: 0,
    out: expect.stringContaining('local/team/pinned:1-zstd stays'),
  })
  const rows = JSON.parse((await place.run('list', '--json', ...data)).out)
  expect(rows.map(({ profile, pinned }: never) => [profile, pinned])).toEqual([
    ['original', false],
    ['zstd', true],
  ])
  await loseCatalog(join(place.folder, 'pins'))
  await refillCatalog(join(place.folder, 'pins'))
  const gone = JSON.parse((await place.run('gc', '--json', ...tiny)).out)
  const digests = gone.victims.map(({ digest }: { digest: string }) => digest)
  expect(digests).toContain(image.layers[0]?.digest)
  expect(gone.kept.pinned).toBeGreaterThan(30_000)

  expect((await place.run('unpin', 'team/pinned:1-zstd', ...data)).code).toBe(0)
  expect((await place.run('unpin', 'team/pinned:1-zstd', ...data)).code).toBe(1)
  const rest = JSON.parse((await place.run('gc', '--json', ...tiny)).out)
  expect(rest.victims.length).toBeGreaterThan(0)
})

function bigStore(maxSize = '50GiB'): string {
  return JSON.stringify({
    defaultUpstream: 'local',
    upstreams: { local: { url: registry.url } },
    cache: { maxSize, lease: '0' },
  })
}
