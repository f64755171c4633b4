/** Bytes that another process downloads, for whoever no longer hears it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { collect } from '../../../src/lib/streams.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import type { PeerBlob } from '../../../src/ports/peers.ts'
import type { Upstream } from '../../../src/ports/upstream.ts'
import type { OthersFlight } from '../../../src/ports/shared-flights.ts'
import { FollowedBody } from '../../../src/pull/followed-body.ts'
import { memoryStore } from '../../helpers/memory-store.ts'

const SILENT_MS = 10
const LONG_MS = SILENT_MS * 30
const first = Buffer.from('what came, ')
const rest = Buffer.from('and what did not')
const AWAY = new Error('the catalog is away')

const unheard = async () => Promise.reject(AWAY)

const upstream: Upstream = {
  ...{ name: 'local', statBlob: unheard, blob: unheard, resolve: unheard },
  ...{ manifest: unheard, tags: unheard, referrers: unheard },
}

/** The half of it, and the rest when `more` resolves. */
function halfOf(more: Promise<unknown>): PeerBlob {
  async function* read() {
    yield first
    await more
    yield rest
  }
  return {
    size: first.length + rest.length,
    isAdmitted: true,
    body: read(),
    isStored: () => true,
    drop: () => {},
  }
}

function followed(note: OthersFlight['note']): FollowedBody {
  const flight: OthersFlight = { kind: 'others', note, ended: async () => {} }
  const ask = {
    ...{ key: 'local blob', repository: { upstream: 'local', name: 'app' } },
    ...{ digest: digestOf(Buffer.concat([first, rest])), size: first.length + rest.length },
    ...{ upstream, signal: new AbortController().signal },
  }
  const peers = { silentMs: SILENT_MS, follow: async () => undefined }
  const flights = { begin: unheard, once: unheard }
  return new FollowedBody({ store: memoryStore().blobs, flights, peers, ask, lease: 'b' }, flight)
}

test('end with what the catalog says when neither it nor the one that downloads is heard', async () => {
  const never = new Promise(() => {})

  await expect(collect(followed(unheard).read(halfOf(never)), 1_000)).rejects.toBe(AWAY)
})

test('are waited for as long as the catalog says that somebody is at it', async () => {
  const body = followed(async () => 'somebody').read(halfOf(sleep(LONG_MS)))

  expect(await collect(body, 1_000)).toEqual(Buffer.concat([first, rest]))
})

test('are waited for while the catalog alone is away, for a failover of it', async () => {
  const body = followed(unheard).read(halfOf(sleep(SILENT_MS * 5)))

  expect(await collect(body, 1_000)).toEqual(Buffer.concat([first, rest]))
})
