/** A layer that a format leaves as it is stays the source's own, whatever becomes of the catalog: it is no recipe for itself. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { layoutOf } from '../../src/store/layout.ts'
import { Workplace } from '../helpers/command.ts'
import { ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'
import { isEmbeddedOnly, isSharedPair } from '../helpers/pair.ts'
import { loseCatalog, refillCatalog } from '../helpers/stored.ts'
import { tarOf } from '../helpers/tars.ts'

/** Lazy formats cannot say a path twice, and a gzip layer is in the plainer form of eStargz already. */
const TWICE = tarOf({ name: 'f', body: Buffer.from('f') }, { name: 'f', body: Buffer.from('f') })

let proxy: TestProxy
let place: Workplace
beforeAll(async () => {
  proxy = await TestProxy.start({ config: { cache: { lease: '0', scrub: { interval: '0' } } } })
  place = await Workplace.create()
}, START_MS)
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await place?.[Symbol.asyncDispose]()
})

const LOSSES = isEmbeddedOnly('PostgreSQL looks after power cuts itself')
  ? ['deleted']
  : ['deleted', 'completed after a power cut']

describe.each(LOSSES)('when the catalog was %s', (loss) => {
  const name = `own/${loss.split(' ')[0]}`

  test('the layer is served, evicted, served again and verified', async () => {
    const image = await proxy.registry.pushImage(name, '1', {
      layers: [{ tar: TWICE }, { size: 50_000 }],
    })
    const [own] = image.layers
    if (own === undefined) throw new Error('an image of a test has a layer')
    const before = await pull(proxy.base, name, '1-estargz')
    expect(before.layers[0]?.digest).toBe(own.digest)
    await proxy.stop()
    if (loss === 'deleted') await loseCatalog(proxy.data)
    else await writeFile(`${layoutOf(proxy.data).catalog}.open`, 'another boot')
    if (isSharedPair) {
      // Commands take nothing that servers of another catalog have left.
      await proxy.start()
      await proxy.stop()
    }

    const gc = await command('gc', '--dry-run', '--json')
    const victims: { digest: string }[] = JSON.parse(gc.out).victims
    expect(victims.map(({ digest }) => digest)).toContain(own.digest)
    expect((await command('verify', '--all')).code).toBe(0)

    await proxy.start({ cache: { maxSize: 1, lease: '0', scrub: { interval: '0' } } })
    await expect
      .poll(() => proxy.crossdock.metric('crossdock_evicted_blobs_total'))
      .toBeGreaterThan(0)
    const again = await pull(proxy.base, name, '1-estargz')
    expect(again.layers).toEqual(before.layers)
    expect((await ask(`${proxy.crossdock.url}/healthz`)).status).toBe(200)
    expect(await proxy.stop()).toBe(0)
    await proxy.start()
  })
})

test('an import takes it for the source’s own as well', async () => {
  const { layers } = await proxy.registry.pushImage('own/carried', '1', {
    layers: [{ tar: TWICE }],
  })
  const file = join(place.folder, 'carried.tar')
  expect((await command('export', 'own/carried:1-estargz', '-o', file)).code).toBe(0)
  const far = join(place.folder, 'far')

  expect((await command('import', file, '--data', far)).code).toBe(0)
  await loseCatalog(far)
  await refillCatalog(far)
  const gc = await command('gc', '--dry-run', '--json', '--data', far)

  const victims: { digest: string; from?: string }[] = JSON.parse(gc.out).victims
  expect(victims.find(({ digest }) => digest === layers[0]?.digest)).toBeDefined()
})

/** A command on the server's store with next to no budget; over with in seconds or not at all. */
async function command(...args: readonly string[]) {
  const config = await place.write(
    'crossdock.yaml',
    JSON.stringify({
      data: proxy.data,
      defaultUpstream: 'origin',
      upstreams: { origin: { url: proxy.registry.url } },
      convert: { defaultPlatforms: ['linux/amd64'] },
      cache: { maxSize: 1, lease: '0' },
    }),
  )
  return await place.run(...args, '--config', config)
}
