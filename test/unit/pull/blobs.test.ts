/** What is told of a blob that has not been downloaded. */
import { beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { CrossdockError } from '../../../src/errors.ts'
import { collect, streamOf } from '../../../src/lib/streams.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { Blobs } from '../../../src/pull/blobs.ts'
import { memoryStore } from '../../helpers/memory-store.ts'
import { DOWNLOADS } from '../../helpers/open-blobs.ts'
import { TapUpstream, upstreamsOf } from '../../helpers/tap-upstream.ts'

const SIZE = 10_247
const digest = digestOf(Buffer.alloc(SIZE))
const repository = { upstream: 'up', name: 'app' }

let upstream: TapUpstream
let blobs: Blobs

beforeEach(async () => {
  upstream = new TapUpstream('up')
  const { blobs: store, catalog } = memoryStore()
  const upstreams = upstreamsOf(upstream)
  const clock = systemClock
  blobs = new Blobs({ ...DOWNLOADS, store, catalog, upstreams, offline: false, clock })
  await catalog.links.record(repository, [{ digest, size: SIZE, standing: 'named' }])
})

test('a blob has the size that a manifest names, whatever the upstream says of it', async () => {
  upstream.add({ digest, size: 7 })
  expect(await blobs.stat(repository, digest)).toEqual({ digest, size: SIZE })
})

test('a blob that a manifest names is not there until the upstream says so', async () => {
  expect(await blobs.stat(repository, digest)).toBeUndefined()
})

test('a blob that no manifest names has the size that the upstream says', async () => {
  const other = { digest: digestOf(Buffer.from('other')), size: 7 }
  upstream.add(other)
  expect(await blobs.stat(repository, other.digest)).toEqual(other)
})

test('a stored blob with rot that cannot be moved away ends in an error', async () => {
  const rotten = memoryStore()
  const content = { digest, size: SIZE }
  const writer = await rotten.blobs.create(content)
  await writer.write(Buffer.alloc(SIZE))
  await writer.commit()
  await rotten.catalog.links.record(repository, [{ ...content, standing: 'proven' }])
  let tries = 0
  // biome-ignore lint/correctness/useYield: it fails before its first byte
  rotten.blobs.read = async function* () {
    tries += 1
    throw new CrossdockError('badDigest', 'it has rotted', { reason: 'rotten' })
  }
  const { blobs: store, catalog } = rotten
  const upstreams = upstreamsOf(upstream)
  const all = new Blobs({
    ...DOWNLOADS,
    store,
    catalog,
    upstreams,
    offline: false,
    clock: systemClock,
  })
  const blob = await all.open(repository, digest)
  await expect(collect(blob?.read() ?? streamOf(Buffer.alloc(0)), SIZE)).rejects.toThrow('rotted')
  expect(tries).toBeLessThan(10)
})

test('a blob that lies in the store but is not safe there is opened as one that is on its way', async () => {
  const { blobs: store, catalog } = memoryStore()
  const safe = Promise.withResolvers<void>()
  const create = store.create.bind(store)
  store.create = async (expected) => {
    const writer = await create(expected)
    const commit = writer.commit.bind(writer)
    writer.commit = async () => {
      const stat = await commit()
      await safe.promise
      return stat
    }
    return writer
  }
  upstream.add({ digest, size: SIZE })
  const upstreams = upstreamsOf(upstream)
  const all = new Blobs({
    ...{ ...DOWNLOADS, store, catalog, upstreams },
    ...{ offline: false, clock: systemClock },
  })
  const first = await all.open(repository, digest)
  upstream.taps[0]?.push(Buffer.alloc(SIZE))
  upstream.taps[0]?.end()
  await first?.growing?.stored
  expect(await store.stat(digest)).toBeDefined()
  expect((await catalog.links.find(repository, digest))?.standing).toBe('proven')

  expect((await all.open(repository, digest))?.kept).toBe(first?.kept)
  safe.resolve()
  await first?.kept
  expect((await all.open(repository, digest))?.kept).toBeUndefined()
})
