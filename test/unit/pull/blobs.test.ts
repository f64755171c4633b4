/** What is told of a blob that has not been downloaded. */
import { beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
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
