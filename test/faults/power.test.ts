/** F03: power cuts under load. What was not synced is gone, in any mixture; what a client had to its end is not. */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fakeLayer } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { fsck, tempFiles } from '../helpers/faults-fsck.ts'
import { loseUnsynced } from '../helpers/faults-power.ts'
import { PROFILES } from '../helpers/faults-profiles.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { PoisonError, type PulledImage, pull } from '../helpers/faults-puller.ts'
import { Dice, patienceOf, roundsOf, seedOf } from '../helpers/faults-seed.ts'
import { isEmbeddedOnly } from '../helpers/pair.ts'
import { cutPower } from '../helpers/power-cut.ts'
import { loseCatalog } from '../helpers/stored.ts'

const CLIENTS = 12

let origin: FakeRegistry
let folder: string

beforeAll(async () => {
  origin = await FakeRegistry.start()
  folder = await mkdtemp(join(tmpdir(), 'crossdock-power-'))
})

afterAll(async () => {
  await origin?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

test.skipIf(isEmbeddedOnly('what a power cut takes back is what a disk had not synced'))(
  'power cuts under load cost no image that a client had, and nothing is half there afterwards',
  async () => {
    const dice = new Dice(seedOf('power cuts'))
    const data = join(folder, 'data')
    const shared = await fakeLayer({ size: 100_000 })
    const had = new Map<string, PulledImage>()
    const lost = { names: 0, files: 0 }
    const rounds = roundsOf(3)
    for (let round = 0; round < rounds; round += 1) {
      const names: string[] = []
      for (let i = 0; i < 6; i += 1) {
        names.push(`power/r${round}-${i}`)
        await origin.pushImage(`power/r${round}-${i}`, '1', { layers: [{ size: 60_000 }, shared] })
      }
      const journal = join(folder, `journal-${round}`)
      await using proxy = await TestProxy.start({ registry: origin, data, faults: { journal } })
      let running = true
      const clients = Array.from({ length: CLIENTS }, async () => {
        while (running) {
          const [name, tag] = [dice.pick(names), `1-${dice.pick(PROFILES)}`]
          const image = await pull(proxy.base, name, tag).catch((error: Error) => error)
          expect(image).not.toBeInstanceOf(PoisonError)
          if (!(image instanceof Error)) had.set(`${name} ${tag}`, image)
        }
      })
      // By what was written, since that is what a cut is about.
      const enough = 2_000 + dice.int(60_000)
      await expect
        .poll(() => stat(journal).then(({ size }) => size), { timeout: 30_000, interval: 1 })
        .toBeGreaterThan(enough)
      await proxy.crossdock.stop('SIGKILL')
      running = false
      await Promise.all(clients)
      const loss = await loseUnsynced(data, journal, dice)
      lost.names += loss.names
      lost.files += loss.files
      const fate = dice.pick(['whole', 'gone', 'without its WAL', 'with half of it'])
      if (fate === 'gone') await loseCatalog(data)
      else await cutPower(data, fate === 'whole' ? 1 : fate === 'with half of it' ? 0.5 : 0)
      await proxy.crossdock[Symbol.asyncDispose]()

      await proxy.start({ cache: { offline: true } })
      expect(await tempFiles(data)).toEqual([])
      const asked = origin.requests.length
      for (const [what, image] of had) {
        const [name = '', tag = ''] = what.split(' ')
        const again = await pull(proxy.base, name, tag).catch((error: Error) => error.message)
        expect(again, `round ${round}: ${what}`).toMatchObject({ layers: image.layers })
      }
      expect(origin.requests.length).toBe(asked)
      await proxy.restart('SIGKILL')
      for (const name of names) await pull(proxy.base, name, `1-${dice.pick(PROFILES)}`)
      expect(await proxy.stop()).toBe(0)
      expect((await fsck(data)).problems).toEqual([])
    }
    console.info(`${rounds} power cuts took back ${lost.names} names, cut ${lost.files} files;`)
    console.info(`${had.size} images, 0 lost`)
    expect(lost.names).toBeGreaterThan(0)
  },
  patienceOf(300_000),
)

test.each(['zstd', 'estargz', 'zstdchunked'])(
  'a %s image is whole as soon as its sidecar is there, though nothing after it was written',
  async (profile) => {
    const name = `power/${profile}`
    await origin.pushImage(name, '1')
    await using control = await TestProxy.start({ registry: origin })
    const { digest } = await pull(control.base, name, `1-${profile}`)
    const path = `/sidecars/sha256/(?:../)?${digest.slice(7)}\\.json$`
    const point = { op: 'rename', when: 'after', path, act: 'kill' } as const
    await using proxy = await TestProxy.start({ registry: origin, faults: { points: [point] } })
    await expect(pull(proxy.base, name, `1-${profile}`)).rejects.toThrow()
    await proxy.stop('SIGKILL')
    await loseCatalog(proxy.data)
    await proxy.start({ cache: { offline: true } })
    expect((await pull(proxy.base, name, digest)).digest).toBe(digest)
  },
  START_MS,
)
