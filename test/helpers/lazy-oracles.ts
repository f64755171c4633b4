/** Lazy layers as crossdock serves them, before the oracles of their formats: every byte, and what the manifest says of it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Semaphore } from '../../src/lib/semaphore.ts'
import type { Crossdock } from './crossdock-process.ts'
import { type Descriptor, readConfig, readImage } from './fixtures-registry.ts'
import { blobPath } from './fixtures-store.ts'
import { askOracle, isForPodman } from './oracles.ts'

/** Judges each layer that is lazy against the layer that it was made from, and says which ones are. `image` is `NAME:TAG`. */
export async function judgeLayers(
  crossdock: Crossdock,
  image: string,
  profile: string,
): Promise<readonly boolean[]> {
  const converted = `${crossdock.host}/${image}-${profile}`
  const { document } = await readImage(converted)
  const { rootfs } = await readConfig(converted)
  const sources = (await readImage(`${crossdock.host}/${image}`)).document.layers ?? []
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-layers-'))
  const path = (digest: string | undefined) => blobPath(crossdock.data, digest ?? '')
  const judge = async (layer: Descriptor, i: number): Promise<boolean> => {
    if (layer.annotations === undefined) return false
    const descriptor = join(folder, `${i}.json`)
    await writeFile(descriptor, JSON.stringify(layer))
    const oracle = isForPodman(layer.annotations) ? 'oracle-zstdchunked' : 'oracle-estargz'
    const known = ['--source', path(sources[i]?.digest), '--diffid', rootfs.diff_ids[i] ?? '']
    await askOracle(oracle, ['check', path(layer.digest), '--descriptor', descriptor, ...known])
    return true
  }
  try {
    // Each oracle uses one core.
    const slots = new Semaphore(2)
    const layers = document.layers ?? []
    return await Promise.all(layers.map((layer, i) => slots.run(() => judge(layer, i))))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
