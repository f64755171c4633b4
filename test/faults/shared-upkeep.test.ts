/** Who collects where several servers share a store: one at a time, and nobody who was stopped and wakes up later. */
import { describe, expect, test } from 'vitest'
import { loadDriver } from '../../src/store/postgres/driver.ts'
import { pull } from '../helpers/faults-puller.ts'
import { bytesOf } from '../helpers/pulling-crowd.ts'
import { hasSharedPair, type Replica, Replicas } from '../helpers/replicas.ts'
import { digestsOnS3 } from '../helpers/s3-store.ts'

/** Nothing that came may stay for long. */
const SMALL = { cache: { tagWindow: '1d', maxSize: 1, lease: '0s' } }

/** Until another server has the turn of one that is stopped, ms. */
const TAKEN_OVER_MS = 40_000

describe.skipIf(!hasSharedPair)('servers that share a store', () => {
  test('collect one at a time, and another one goes on when that one is killed', async () => {
    await using replicas = await Replicas.start({ count: 2, config: SMALL })
    const [first, second] = bothOf(replicas)
    const onS3 = async () => await layersOnS3(replicas)
    const turns = async () => {
      const all = await Promise.all(
        replicas.all.map(({ proxy }) => proxy.crossdock.metric('crossdock_upkeep_turn')),
      )
      return all.sort()
    }
    await expect.poll(turns, { timeout: TAKEN_OVER_MS }).toEqual([0, 1])
    await replicas.registry.pushImage('upkeep/a', '1', { layers: [{ size: 300_000 }] })
    await pull(second.proxy.base, 'upkeep/a', '1')
    await expect.poll(onS3, { timeout: TAKEN_OVER_MS }).toEqual([])

    const collecting = [first, second].find((one) => deletions(one) > 0) ?? first
    const other = collecting === first ? second : first
    await collecting.proxy.stop('SIGKILL')
    await replicas.registry.pushImage('upkeep/b', '1', { layers: [{ size: 300_000 }] })
    await pull(other.proxy.base, 'upkeep/b', '1')

    await expect.poll(onS3, { timeout: TAKEN_OVER_MS }).toEqual([])
  })

  test('serve what one of them lets go while another one has a copy, whoever is asked', async () => {
    await using replicas = await Replicas.start({ count: 1, config: SMALL })
    const other = await replicas.add({ config: { cache: { tagWindow: '1d' } } })
    await replicas.registry.pushImage('upkeep/d', '1', { layers: [{ size: 300_000 }] })
    const before = bytesOf(await pull(other.proxy.base, 'upkeep/d', '1-zstd'))
    await expect.poll(() => layersOnS3(replicas), { timeout: TAKEN_OVER_MS }).toEqual([])

    expect(bytesOf(await pull(other.proxy.base, 'upkeep/d', '1-zstd'))).toEqual(before)
    const bare = await replicas.add({ config: { cache: { tagWindow: '1d' } } })
    expect(bytesOf(await pull(bare.proxy.base, 'upkeep/d', '1-zstd'))).toEqual(before)
  })

  test('delete nothing under a turn that passed while they were stopped', async () => {
    await using replicas = await Replicas.start({ count: 1, config: SMALL })
    const [stopped] = replicas.all
    if (stopped === undefined) throw new Error('no replica')
    const other = await replicas.add({ config: { cache: { tagWindow: '1d' } } })
    await replicas.registry.pushImage('upkeep/c', '1', { layers: [{ size: 300_000 }] })
    const atLook = new Promise<void>((resolve) => {
      // It looks whether a blob is there, and deletes it then; the answer comes when it has been stopped for long.
      stopped.s3.fault = ({ method, path }) => {
        if (method !== 'HEAD' || !path.includes('/blobs/')) return undefined
        process.kill(stopped.proxy.crossdock.pid, 'SIGSTOP')
        resolve()
        return { kind: 'delay', ms: 18_000 }
      }
    })

    const image = await pull(other.proxy.base, 'upkeep/c', '1')
    await atLook
    await expect.poll(() => collectors(replicas), { timeout: TAKEN_OVER_MS }).toBe(0)
    await expect.poll(() => holders(replicas, 'upkeep'), { timeout: TAKEN_OVER_MS }).toBe(1)
    process.kill(stopped.proxy.crossdock.pid, 'SIGCONT')
    stopped.s3.fault = () => undefined

    const said = () => stopped.proxy.crossdock.output()
    await expect.poll(said, { timeout: TAKEN_OVER_MS }).toMatch(/lease collect was lost/)
    expect(deletions(stopped)).toBe(0)
    expect(await layersOnS3(replicas)).toContain(
      `blobs/${image.layers[0]?.digest.replace(':', '/')}`,
    )
    expect(bytesOf(await pull(replicas.base, 'upkeep/c', '1'))).toEqual(bytesOf(image))
  })
})

function bothOf({ all: [first, second] }: Replicas): readonly [Replica, Replica] {
  if (first === undefined || second === undefined) throw new Error('there are not two')
  return [first, second]
}

function deletions({ s3 }: Replica): number {
  return s3.count('DELETE', '/blobs/')
}

async function collectors(replicas: Replicas): Promise<number> {
  return await holders(replicas, 'collect')
}

/** How many hold a lease, by PostgreSQL's clock. */
async function holders({ postgres }: Replicas, name: string): Promise<number> {
  const { client: make } = await loadDriver()
  const client = make({ connectionString: postgres.url('postgres') })
  await client.connect()
  try {
    const asked = 'SELECT FROM crossdock.leases WHERE name = $1 AND expires_at > clock_timestamp()'
    return (await client.query(asked, [name])).rows.length
  } finally {
    await client.end()
  }
}

/** Of everything on S3 what is large enough to be one. */
async function layersOnS3({ place }: Replicas): Promise<readonly string[]> {
  return [...(await digestsOnS3(place, 'blobs/')).keys()]
}
