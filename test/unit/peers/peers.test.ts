/** What a process gives to others of its store over HTTP, to whom, and what they make of it. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { collect, streamOf } from '../../../src/lib/streams.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { growingFor } from '../../../src/peers/growing.ts'
import { HttpPeers } from '../../../src/peers/http-peers.ts'
import { type PeerLimits, PeerListener, type PeerRefusal } from '../../../src/peers/listener.ts'
import { noteOf, placeIn } from '../../../src/peers/words.ts'
import type { PeerAsk } from '../../../src/ports/peers.ts'
import { Blobs } from '../../../src/pull/blobs.ts'
import { memoryStore } from '../../helpers/memory-store.ts'
import { DOWNLOADS } from '../../helpers/open-blobs.ts'
import { settled, TapUpstream, upstreamsOf } from '../../helpers/tap-upstream.ts'
import { TestWaiter } from '../../helpers/waiters.ts'

const BYTES = Buffer.alloc(300_000, 'growing')
const NOTHING = new Uint8Array(0)
const digest = digestOf(BYTES)
const repository = { upstream: 'up', name: 'app' }

let upstream: TapUpstream
let blobs: Blobs
let store: ReturnType<typeof memoryStore>
/** Called before the catalog records a link. */
let onRecord = async (): Promise<void> => undefined
let listener: PeerListener

beforeEach(async () => {
  upstream = new TapUpstream('up')
  upstream.add({ digest, size: BYTES.byteLength })
  store = memoryStore()
  onRecord = async () => undefined
  const { catalog } = store
  const { links } = catalog
  const record = links.record.bind(links)
  links.record = async (...what) => {
    await onRecord()
    await record(...what)
  }
  blobs = new Blobs({
    ...DOWNLOADS,
    store: store.blobs,
    catalog,
    upstreams: upstreamsOf(upstream),
    offline: false,
  })
  listener = await PeerListener.open({
    ...{ host: '127.0.0.1', port: 0 },
    advertised: (port) => `127.0.0.1:${port}`,
    growing: (ask) => growingFor(ask, blobs),
  })
})
afterEach(async () => await listener[Symbol.asyncDispose]())

describe('a download of another process', () => {
  test('is followed from any byte on while it grows, to its end', async () => {
    const [tap] = await begun()
    tap?.push(BYTES.subarray(0, 200_000))
    const followed = await follow({ start: 100_000 })
    tap?.push(BYTES.subarray(200_000))
    tap?.end()

    expect(followed).toMatchObject({ size: BYTES.byteLength, isAdmitted: true })
    const rest = await collect(followed?.body ?? streamOf(NOTHING), BYTES.byteLength)
    expect(Buffer.from(rest).equals(BYTES.subarray(100_000))).toBe(true)
  })

  test('has ended when it is stored and linked, and says so', async () => {
    const [tap] = await begun()
    const followed = await follow()
    const stored = Promise.withResolvers<void>()
    onRecord = () => stored.promise
    const reading = collect(followed?.body ?? streamOf(NOTHING), BYTES.byteLength)
    tap?.push(BYTES)
    tap?.end()
    await expect.poll(async () => await store.blobs.stat(digest)).toBeDefined()
    const first = await Promise.race([reading, sleep(50, 'not yet')])
    expect(first).toBe('not yet')
    expect(followed?.isStored()).toBe(false)

    stored.resolve()

    expect((await reading).byteLength).toBe(BYTES.byteLength)
    expect(followed?.isStored()).toBe(true)
  })

  test('breaks at its end when it cannot be stored', async () => {
    const [tap] = await begun()
    const followed = await follow()
    onRecord = async () => {
      throw new Error('the catalog is away')
    }
    const reading = collect(followed?.body ?? streamOf(NOTHING), BYTES.byteLength)
    reading.catch(() => undefined)
    tap?.push(BYTES)
    tap?.end()

    await expect(reading).rejects.toThrow('aborted')
    expect(followed?.isStored()).toBe(false)
  })

  test('is not open to other repositories, as far as it knows', async () => {
    await begun()
    const followed = await follow({ repository: { upstream: 'up', name: 'other' } })
    expect(followed).toMatchObject({ isAdmitted: false })
    followed?.drop()
  })

  test('breaks where it fails, and is never taken for whole', async () => {
    const [tap] = await begun()
    tap?.push(BYTES.subarray(0, 200_000))
    const followed = await follow()
    const reading = collect(followed?.body ?? streamOf(NOTHING), BYTES.byteLength)
    reading.catch(() => undefined)
    tap?.fail(new Error('upstream broke'))

    await expect(reading).rejects.toThrow('aborted')
  })

  test('is wanted for as long as somebody follows it', async () => {
    const waiter = new TestWaiter('client')
    await begun(waiter)
    const followed = await follow()
    waiter.leave()
    const isWanted = async () => (await blobs.growing('up', digest))?.interest.isWanted
    expect(await isWanted()).toBe(true)

    followed?.drop()

    await expect.poll(isWanted).toBe(false)
  })

  test.each([
    ['has not begun', {}, listenerNote],
    ['is of no such digest', { digest: digestOf(Buffer.from('else')) }, listenerNote],
    ['is asked for with another key', {}, () => noteOf({ ...place(), key: 'guessed' })],
    [
      'is at an address where nobody listens',
      {},
      () => noteOf({ ...place(), url: 'http://127.0.0.1:1' }),
    ],
    ['is at a holder that says nothing of itself', {}, () => ''],
  ])('is not followed when it %s', async (why, ask, note) => {
    if (why !== 'has not begun') await begun()
    expect(await follow(ask, note())).toBeUndefined()
  })

  test('is not followed where the answer does not prove that it comes from there', async () => {
    await begun()
    await using liar = await PeerListener.open({
      ...{ host: '127.0.0.1', port: 0 },
      advertised: (port) => `127.0.0.1:${port}`,
      growing: (ask) => growingFor(ask, blobs),
    })
    const { url } = placeIn(liar.note) ?? place()
    expect(await follow({}, noteOf({ ...place(), url }))).toBeUndefined()
  })
})

test('nobody without the key learns anything', async () => {
  await begun()
  const { url } = place()
  for (const path of ['/', '/growing', `/growing?upstream=up&name=app&digest=${digest}&start=0`]) {
    const answer = await fetch(`${url}${path}`)
    expect([answer.status, await answer.text()]).toEqual([403, ''])
  }
})

describe('at the door', () => {
  const open = async (limits: Partial<PeerLimits>) => {
    const refusals: PeerRefusal[] = []
    const door = await PeerListener.open({
      ...{ host: '127.0.0.1', port: 0, limits },
      advertised: (port) => `127.0.0.1:${port}`,
      growing: (ask) => growingFor(ask, blobs),
      refused: (why) => refusals.push(why),
    })
    const { port } = new URL(placeIn(door.note)?.url ?? '')
    const connected = () => {
      const socket = connect(Number(port), '127.0.0.1')
      socket.on('error', () => undefined)
      return { socket, gone: once(socket.resume(), 'close') }
    }
    return { refusals, connected, [Symbol.asyncDispose]: () => door[Symbol.asyncDispose]() }
  }

  test('who is refused does not stay, and who says nothing neither', async () => {
    await using door = await open({ headMs: 50 })
    const stranger = door.connected()
    stranger.socket.write('GET / HTTP/1.1\r\nHost: peer\r\n\r\n')
    await stranger.gone
    await door.connected().gone
    expect(door.refusals).toEqual(['proof', 'head'])
  })

  test('nothing is kept for who takes nothing any more', async () => {
    const over = Promise.withResolvers<void>()
    async function* endless() {
      try {
        for (;;) yield BYTES
      } finally {
        over.resolve()
      }
    }
    await using door = await PeerListener.open({
      ...{ host: '127.0.0.1', port: 0, limits: { stalledMs: 50 } },
      advertised: (port) => `127.0.0.1:${port}`,
      growing: async () => ({
        ...{
          size: undefined,
          isAdmitted: true,
          body: endless(),
          isStored: () => false,
          drop: () => undefined,
        },
      }),
    })
    const followed = await follow({}, door.note)

    await over.promise
    followed?.drop()
  })

  test('one address has a share of the connections', async () => {
    await using door = await open({ addressConnections: 1 })
    const first = door.connected()
    await once(first.socket, 'connect')
    await door.connected().gone
    first.socket.destroy()
    expect(door.refusals).toEqual(['share'])
  })
})

async function begun(by = new TestWaiter('client')) {
  await blobs.open(repository, digest, by)
  await settled()
  return upstream.taps
}

async function follow(ask: Partial<PeerAsk> = {}, note = listener.note) {
  const { signal } = new AbortController()
  return await new HttpPeers().follow(note, { repository, digest, start: 0, signal, ...ask })
}

function listenerNote(): string {
  return listener.note
}

function place() {
  const found = placeIn(listener.note)
  if (found === undefined) throw new Error('it says where it is')
  return found
}
