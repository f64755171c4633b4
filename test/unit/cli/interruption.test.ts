import { afterAll, beforeAll, expect, it } from 'vitest'
import { Workplace } from '../../helpers/command.ts'
import { FakeRegistry } from '../../helpers/fake-registry.ts'

let registry: FakeRegistry
let place: Workplace
beforeAll(async () => {
  registry = await FakeRegistry.start()
  place = await Workplace.create()
  await place.write(
    'crossdock.yaml',
    JSON.stringify({
      admin: 'off',
      defaultUpstream: 'local',
      upstreams: { local: { url: registry.url } },
    }),
  )
})
afterAll(async () => {
  await registry[Symbol.asyncDispose]()
  await place[Symbol.asyncDispose]()
})

it('of stage says what is kept, and keeps it', async () => {
  await registry.pushImage('team/one', '1')
  const slow = await registry.pushImage('team/slow', '1', { layers: [{ size: 300_000 }] })
  const digest = slow.layers[0]?.digest ?? ''
  const hold = registry.hold({ blob: digest, method: 'GET' }, { afterBytes: 100_000 })
  const running = place.start('stage', 'team/one:1-zstd', 'team/slow:1-zstd', '--jobs', '1')
  await hold.reached

  running.signal()
  const { code, out, err } = await running.done
  hold.release()

  expect([code, out]).toEqual([1, ''])
  expect(err).toContain('crossdock: interrupted; what was converted stays in the store')
  const rows: { readonly name: string; readonly profile: string }[] = JSON.parse(
    (await place.run('list', '--json')).out,
  )
  expect(rows.filter(({ profile }) => profile === 'zstd').map(({ name }) => name)).toEqual([
    'local/team/one:1',
  ])
})
