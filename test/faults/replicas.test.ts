/** Several servers on one PostgreSQL and one S3, behind a dumb round-robin. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { type PulledImage, pull } from '../helpers/faults-puller.ts'
import { hasSharedPair, Replicas } from '../helpers/replicas.ts'

describe.skipIf(!hasSharedPair)('three servers on one store', () => {
  let origin: FakeRegistry
  let replicas: Replicas
  beforeAll(async () => {
    origin = await FakeRegistry.start()
    replicas = await Replicas.start({ registry: origin })
  })
  afterEach(() => origin.clearFaults())
  afterAll(async () => {
    await replicas?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  test('serve what any of them has fetched and made, without asking upstream again', async () => {
    await origin.pushImage('shared/app', '1', { layers: [{ size: 300_000 }, {}] })
    const [first, ...others] = replicas.all
    const made = bytesOf(await pull(first?.proxy.base ?? '', 'shared/app', '1-zstd'))
    const asked = origin.count({ kind: 'blob', method: 'GET' })

    for (const { proxy } of others) {
      expect(bytesOf(await pull(proxy.base, 'shared/app', '1-zstd'))).toEqual(made)
    }
    expect(bytesOf(await pull(replicas.base, 'shared/app', '1-zstd'))).toEqual(made)

    expect(origin.count({ kind: 'blob', method: 'GET' })).toBe(asked)
  })
})

/** Without how it came about. */
function bytesOf({ conversion: _, ...image }: PulledImage): object {
  return image
}
