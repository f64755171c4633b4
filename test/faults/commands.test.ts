/** Commands that are killed half-way: an import that is begun again, a collection that loses nothing it cannot get back. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { fsck } from '../helpers/faults-fsck.ts'
import type { Failpoint } from '../helpers/faults-preload.ts'
import { faultyEnvironment, START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { type PulledImage, pull } from '../helpers/faults-puller.ts'
import { Dice, patienceOf, roundsOf, seedOf } from '../helpers/faults-seed.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { type CommandResult, runCommand } from '../helpers/fixtures-command.ts'
import { storeSectionOf } from '../helpers/pair.ts'
import { copyStore } from '../helpers/stored.ts'

const NAMES = ['one', 'two', 'three']

let origin: FakeRegistry
let folder: string
let template: string
let bundle: string
const images = new Map<string, PulledImage>()

beforeAll(async () => {
  origin = await FakeRegistry.start()
  folder = await mkdtemp(join(tmpdir(), 'crossdock-commands-'))
  template = join(folder, 'template')
  bundle = join(folder, 'bundle.tar')
  await using proxy = await TestProxy.start({ registry: origin })
  for (const name of NAMES) {
    await origin.pushImage(name, '1', { layers: [{ size: 200_000 }, {}] })
    images.set(name, await pull(proxy.base, name, '1-zstd'))
  }
  await proxy.stop()
  await copyStore(proxy.data, template)
  const made = await command(
    template,
    [],
    'export',
    ...NAMES.map((name) => `origin/${name}:1-zstd`),
    ...['-o', bundle],
  )
  expect(`${made.status} ${made.stderr}`).toMatch(/^0 /)
}, START_MS)

afterAll(async () => {
  await origin?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function command(
  data: string,
  points: readonly Failpoint[],
  ...args: readonly string[]
): Promise<CommandResult> {
  const file = join(folder, 'command.yaml')
  const store = await storeSectionOf(data)
  const config = {
    upstreams: { origin: { url: origin.url } },
    defaultUpstream: 'origin',
    cache: { maxSize: '1KiB', lease: '0s' },
    ...(store && { store }),
    convert: { defaultPlatforms: ['linux/amd64'] },
  }
  await writeFile(file, JSON.stringify(config))
  const program = [join(ROOT, 'src/main.ts'), ...args, '--config', file, '--data', data]
  const env = points.length > 0 ? faultyEnvironment({ points }) : { NODE_OPTIONS: '' }
  return await runCommand(process.execPath, program, { env })
}

test(
  'an import that is killed anywhere succeeds when it is run again',
  async () => {
    const dice = new Dice(seedOf('killed imports'))
    let kills = 0
    const rounds = roundsOf(4)
    for (let round = 0; round < rounds; round++) {
      const data = join(folder, `import-${round}`)
      const point: Failpoint = {
        op: dice.pick(['rename', 'sync', 'commit', 'write']),
        when: dice.pick(['before', 'after']),
        nth: 1 + dice.int(25),
        act: 'kill',
      }
      const killed = await command(data, [point], 'import', bundle)
      if (killed.status !== 0) kills += 1
      const again = await command(data, [], 'import', bundle)
      expect(`${again.status} ${again.stderr}`, JSON.stringify(point)).toMatch(/^0 /)
      await servesOffline(data)
    }
    console.info(`${kills} of ${rounds} imports were killed`)
    expect(kills).toBeGreaterThan(0)
  },
  patienceOf(120_000),
)

test(
  'K15: a collection that is killed anywhere loses nothing that cannot be had again',
  async () => {
    const dice = new Dice(seedOf('killed collections'))
    let kills = 0
    const rounds = roundsOf(4)
    for (let round = 0; round < rounds; round++) {
      const data = join(folder, `gc-${round}`)
      await copyStore(template, data)
      const point: Failpoint = {
        op: 'remove',
        when: dice.pick(['before', 'after']),
        path: '/blobs/',
        nth: 1 + dice.int(6),
        act: 'kill',
      }
      const killed = await command(data, [point], 'gc')
      if (killed.status !== 0) kills += 1
      await using proxy = await TestProxy.start({ registry: origin, data })
      for (const name of NAMES) {
        const image = await pull(proxy.base, name, '1-zstd')
        expect(image.digest, JSON.stringify(point)).toBe(images.get(name)?.digest)
        expect(image.layers).toEqual(images.get(name)?.layers)
      }
      expect((await command(data, [], 'gc')).status).toBe(0)
      expect(await proxy.stop()).toBe(0)
      expect((await fsck(data, { lossy: true })).problems).toEqual([])
    }
    console.info(`${kills} of ${rounds} collections were killed`)
    expect(kills).toBeGreaterThan(0)
  },
  patienceOf(120_000),
)

async function servesOffline(data: string): Promise<void> {
  await using proxy = await TestProxy.start({
    registry: origin,
    data,
    config: { cache: { offline: true } },
  })
  const asked = origin.requests.length
  for (const name of NAMES) {
    const image = await pull(proxy.base, name, '1-zstd')
    expect(image.layers).toEqual(images.get(name)?.layers)
  }
  expect(origin.requests.length).toBe(asked)
  expect(await proxy.stop()).toBe(0)
  // A bundle brings no sources: recipes name what is not here.
  expect((await fsck(data, { lossy: true })).problems).toEqual([])
}
