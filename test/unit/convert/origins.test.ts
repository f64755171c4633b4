import { describe, expect, it } from 'vitest'
import { Origins } from '../../../src/convert/origins.ts'
import { CrossdockError } from '../../../src/errors.ts'
import { streamOf } from '../../../src/lib/streams.ts'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import type { Repository } from '../../../src/oci/repository.ts'
import type { ConvertedLayer } from '../../../src/ports/conversions.ts'
import type { Blobs } from '../../../src/pull/blobs.ts'
import { MemoryCatalog } from '../../helpers/memory-catalog.ts'

const ALPINE: Repository = { upstream: 'docker.io', name: 'library/alpine' }
const OTHER: Repository = { upstream: 'docker.io', name: 'other/app' }
const SOURCE = digestOf(Buffer.from('source'))

describe('the tar of a layer whose source is gone', () => {
  it('is read from a conversion that left it as it was', async () => {
    const { origins, add } = await start('gone')
    const made = await add(ALPINE, 'none')

    const { blob, isSource } = await origins.open(ALPINE, SOURCE, 'tar')

    expect(blob.digest).toBe(made)
    expect(isSource).toBe(false)
    expect(await origins.prove(ALPINE, SOURCE)).toBe('made')
    expect(await origins.isHere(ALPINE, SOURCE)).toBe(true)
  })

  it('is not read from a conversion that changed it', async () => {
    const { origins, add } = await start('gone')
    await add(ALPINE, 'estargz')

    await expect(origins.open(ALPINE, SOURCE, 'tar')).rejects.toThrow(/is not in docker\.io/)
    expect(await origins.isHere(ALPINE, SOURCE)).toBe(false)
  })

  it('is not opened to a repository that has no conversion of it', async () => {
    const { origins, add } = await start('gone')
    await add(ALPINE, 'none')

    await expect(origins.open(OTHER, SOURCE, 'tar')).rejects.toThrow(/is not in docker\.io\/other/)
    expect(await origins.prove(OTHER, SOURCE)).toBeUndefined()
  })

  it('is read from a conversion while the upstream is out of reach, and not when it says no', async () => {
    for (const [kind, isRead] of [
      ['upstreamFailed', true],
      ['denied', false],
    ] as const) {
      const { origins, add } = await start(new CrossdockError(kind, 'it said so'))
      const nothing = origins.open(ALPINE, SOURCE, 'tar')
      await expect(nothing).rejects.toThrow('it said so')
      await add(ALPINE, 'none')
      const opened = origins.open(ALPINE, SOURCE, 'tar').then(() => true)
      expect(await opened.catch(() => false)).toBe(isRead)
    }
  })
})

/** An upstream that says 404 of the source, or fails. */
async function start(source: 'gone' | CrossdockError) {
  const catalog = new MemoryCatalog()
  const stored = new Set<Digest>()
  const answer = async () => {
    if (source !== 'gone') throw source
  }
  const blobs = {
    open: answer,
    prove: async () => {
      await answer()
      return false
    },
    openStored: async (digest: Digest) =>
      stored.has(digest) ? { digest, size: 1, read: () => streamOf(Buffer.from('x')) } : undefined,
  } as unknown as Blobs
  const add = async (repository: Repository, encoding: string) => {
    const target = digestOf(Buffer.from(encoding))
    const layer: ConvertedLayer = {
      kind: 'made',
      ...{ source: SOURCE, encoding, options: {}, revision: 1, target, size: 1 },
      ...{ diffId: SOURCE, uncompressedSize: 1, facts: {} },
    }
    await catalog.conversions.recordLayer(layer)
    await catalog.links.record(repository, [{ digest: target, size: 1, standing: 'made' }])
    stored.add(target)
    return target
  }
  return { origins: new Origins({ blobs, catalog }), add }
}
