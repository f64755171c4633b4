/** `crossdock gc` and `remove` on a store that a person looks at. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Workplace } from '../helpers/command.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'

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
  expect(victims).toMatchObject([{ digest: one.layers[1]?.digest, reason: 'forgotten' }])
})

function bigStore(): string {
  return JSON.stringify({
    defaultUpstream: 'local',
    upstreams: { local: { url: registry.url } },
    cache: { lease: '0' },
  })
}
