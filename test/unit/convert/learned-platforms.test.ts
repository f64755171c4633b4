/** When a repository's platforms are learned, and when they are forgotten. */
import { beforeEach, describe, expect, it } from 'vitest'
import { LearnedPlatforms } from '../../../src/convert/learned-platforms.ts'
import type { Platform } from '../../../src/oci/manifest.ts'
import { MemoryCatalog } from '../../helpers/memory-catalog.ts'
import { MemoryNotices } from '../../helpers/memory-leases.ts'

const DAY = 24 * 60 * 60_000
const REPOSITORY = { upstream: 'docker.io', name: 'library/alpine' }
const OTHER = { upstream: 'docker.io', name: 'library/nginx' }

const on = (architecture: string): Platform => ({ os: 'linux', architecture })

let now: number
let learned: LearnedPlatforms

beforeEach(() => {
  now = 1_800_000_000_000
  const clock = { now: () => now, monotonic: () => now, sleep: async () => undefined }
  learned = new LearnedPlatforms({ catalog: new MemoryCatalog().platforms, clock })
})

async function takenBy(pullers: number, platform: Platform): Promise<void> {
  for (let i = 0; i < pullers; i += 1) await learned.taken(REPOSITORY, platform, `10.0.0.${i}`)
}

describe('a platform', () => {
  it('is learned from three pullers, not from one who asks often', async () => {
    for (let i = 0; i < 10; i += 1) await learned.taken(REPOSITORY, on('arm64'), '10.0.0.1')
    expect(await learned.list(REPOSITORY)).toEqual([])
    await learned.taken(REPOSITORY, on('arm64'), '10.0.0.2')
    expect(await learned.list(REPOSITORY)).toEqual([])
    await learned.taken(REPOSITORY, on('arm64'), '10.0.0.3')
    expect(await learned.list(REPOSITORY)).toEqual([on('arm64')])
    expect(await learned.list(OTHER)).toEqual([])
  })

  it('is one of four that a repository learns from pulls; an operator may say more', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await takenBy(3, on(name))
    expect(await learned.list(REPOSITORY)).toEqual(['a', 'b', 'c', 'd'].map(on))
    await learned.learn(REPOSITORY, on('f'))
    expect(await learned.list(REPOSITORY)).toEqual(['a', 'b', 'c', 'd', 'f'].map(on))
  })

  it('is forgotten when nobody has taken it for four weeks, and makes room', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await takenBy(3, on(name))
    for (let week = 0; week < 5; week += 1) {
      now += 7 * DAY
      await learned.taken(REPOSITORY, on('a'), '10.0.0.1')
    }
    expect(await learned.list(REPOSITORY)).toEqual([on('a')])
    await takenBy(3, on('e'))
    expect(await learned.list(REPOSITORY)).toEqual(['a', 'e'].map(on))
  })

  it('is learned from three pullers of three servers', async () => {
    const notices = new MemoryNotices()
    const clock = { now: () => now, monotonic: () => now, sleep: async () => undefined }
    const { platforms: catalog } = new MemoryCatalog()
    const servers = [1, 2, 3].map(
      () => new LearnedPlatforms({ catalog, clock, shared: { notices, clock } }),
    )
    // Each listens from now on.
    await new Promise(setImmediate)

    for (const [i, server] of servers.entries()) {
      expect(await server.list(REPOSITORY)).toEqual([])
      await server.taken(REPOSITORY, on('arm64'), `10.0.0.${i}`)
      await server.taken(REPOSITORY, on('arm64'), `10.0.0.${i}`)
    }

    expect(await learned.list(REPOSITORY)).toEqual([])
    expect(await servers[0]?.list(REPOSITORY)).toEqual([on('arm64')])
    for (const server of servers) await server[Symbol.asyncDispose]()
  })

  it('that an operator has staged is learned at once, and forgotten like others', async () => {
    await learned.learn(REPOSITORY, on('arm64'))
    expect(await learned.list(REPOSITORY)).toEqual([on('arm64')])
    now += 29 * DAY
    expect(await learned.list(REPOSITORY)).toEqual([])
  })
})
