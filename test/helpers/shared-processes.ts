/** Processes that share a store, all within this one, each of which may be stopped at any step, for good or for a while. */
import { LayerConversion } from '../../src/convert/layer-conversion.ts'
import { Layers } from '../../src/convert/layers.ts'
import { Origins } from '../../src/convert/origins.ts'
import { Restorations } from '../../src/convert/restorations.ts'
import { Slots } from '../../src/convert/slots.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { growingFor } from '../../src/peers/growing.ts'
import type { ByteRange } from '../../src/ports/blobs.ts'
import type { PeerAsk, PeerBlob, Peers } from '../../src/ports/peers.ts'
import type { Upstream, UpstreamBlob } from '../../src/ports/upstream.ts'
import { Blobs } from '../../src/pull/blobs.ts'
import { LeasedFlights } from '../../src/store/leased-flights.ts'
import { TableLeases } from '../../src/store/table-leases.ts'
import type { FakeLayer } from './fake-image.ts'
import { MemoryLeaseTable, MemoryNotices } from './memory-leases.ts'
import { memoryStore } from './memory-store.ts'
import { DOWNLOADS } from './open-blobs.ts'

/** Bytes of a chunk from upstream. */
const CHUNK = 20_000

export interface SharedProcess {
  readonly life: Life
  readonly blobs: Blobs
  readonly layers: Layers
  readonly restorations: Restorations
  readonly flights: LeasedFlights
}

/** Goes on until it is stopped; what it is about to do then it does when it wakes up. */
export class Life {
  /** Steps that are left to it. */
  steps = Number.POSITIVE_INFINITY
  /** True: with its last step it is killed, not stopped. */
  isMortal = false
  isKilled = false
  #woken: PromiseWithResolvers<void> | undefined

  get isStopped(): boolean {
    return this.#woken !== undefined
  }

  stop(): void {
    this.#woken ??= Promise.withResolvers()
  }

  /** Its connections break, and it never wakes up. */
  kill(): void {
    this.isKilled = true
    this.stop()
  }

  wake(): void {
    this.steps = Number.POSITIVE_INFINITY
    const woken = this.#woken
    this.#woken = undefined
    woken?.resolve()
  }

  async step(): Promise<void> {
    this.steps -= 1
    if (this.steps <= 0 && !this.isStopped) this.isMortal ? this.kill() : this.stop()
    await this.#woken?.promise
  }
}

export class SharedStore {
  readonly store = memoryStore()
  readonly repository = { upstream: 'local', name: 'app' }
  readonly contents = new Map<Digest, Uint8Array>()
  /** Of whole blobs and of rests of them. */
  readonly gets: { readonly digest: Digest; readonly range: ByteRange | undefined }[] = []
  /** Originals that were made again, whose corrections are their digests. */
  readonly restored: Digest[] = []
  /** Results of conversions that were carried out. */
  readonly conversions: string[] = []
  readonly #table = new MemoryLeaseTable()
  readonly #notices = new MemoryNotices()
  readonly #processes = new Map<string, SharedProcess>()

  /** `ttlMs`: of leases. `isFollowed` false: others cannot reach it. */
  start(ttlMs: number, isFollowed = true): SharedProcess {
    const { clock } = DOWNLOADS
    const { contents, restored } = this
    const life = new Life()
    const note = isFollowed ? `process-${this.#processes.size}` : ''
    const table = steps(this.#table, life)
    const flights = new LeasedFlights({
      leases: new TableLeases(table, this.#notices, clock),
      ...{ clock, ttlMs },
    })
    flights.note = note
    const store = steps(this.store.blobs, life)
    const catalog = steps(this.store.catalog, life)
    const upstream = steps(this.#upstream(), life)
    const upstreams = { find: () => upstream, default: upstream, names: ['local'] }
    const shared = { ...DOWNLOADS, store, catalog, flights }
    const blobs = new Blobs({ ...shared, upstreams, offline: false, peers: this.#peers() })
    const origins = new Origins({ blobs, catalog })
    const conversion = new LayerConversion({
      ...{ store, catalog, origins, limits: { maxOutput: 1e9, maxWindowLog: 27 }, concurrency: 1 },
      events: { converted: ({ result }) => this.conversions.push(result) },
    })
    const layers = new Layers({
      ...shared,
      blobs,
      origins,
      conversion,
      slots: new Slots({ jobs: 2 }),
    })
    const restorations = new Restorations({
      ...{ store, catalog, clock, flights, slots: new Slots({ jobs: 2 }) },
      rebuild: async function* (_tar, digest) {
        restored.push(Buffer.from(digest).toString() as Digest)
        yield* chunks(contents.get(restored.at(-1) as Digest) ?? new Uint8Array(0))
      },
    })
    const process = { life, blobs, layers, flights, restorations }
    this.#processes.set(note, process)
    return process
  }

  /** As if it had been made of the layer. */
  async keep(layer: FakeLayer, encoding: 'zstd' | 'corrections', bytes: Uint8Array): Promise<void> {
    const { digest: target, size } = this.store.blobs.put(bytes)
    const { digest: source, diffId, tar } = layer
    await this.store.catalog.conversions.recordLayer({
      ...{ kind: 'made', source, encoding, options: {}, revision: 1 },
      ...{ target, size, diffId, uncompressedSize: tar.byteLength, facts: {} },
    })
  }

  #peers(): Peers {
    return {
      silentMs: 5,
      follow: async (note, ask) => {
        const process = this.#processes.get(note)
        if (process === undefined || process.life.isKilled) return undefined
        await process.life.step()
        const blob = await growingFor(ask, process.blobs)
        return blob && this.#line(blob, process.life, ask)
      },
    }
  }

  #line(blob: PeerBlob, life: Life, { signal }: PeerAsk): PeerBlob {
    const cut = Promise.withResolvers<never>()
    cut.promise.catch(() => undefined)
    signal.addEventListener('abort', () => cut.reject(signal.reason))
    async function* read() {
      for await (const chunk of blob.body) {
        if (life.isKilled) throw new Error('the connection broke')
        await Promise.race([life.step(), cut.promise])
        yield chunk
      }
    }
    return { ...blob, body: read() }
  }

  #upstream(): Upstream {
    const { contents, gets } = this
    return {
      name: 'local',
      statBlob: async (_, digest) => {
        const bytes = contents.get(digest)
        return bytes && { digest, size: bytes.byteLength }
      },
      blob: async (_, { digest }, { range } = {}) => {
        const bytes = contents.get(digest)
        if (bytes === undefined) return undefined
        gets.push({ digest, range })
        return { size: bytes.byteLength, body: chunks(bytes, range) }
      },
      ...{ resolve: unasked, manifest: unasked, tags: unasked, referrers: unasked },
    }
  }
}

async function* chunks(bytes: Uint8Array, range?: ByteRange): AsyncGenerator<Uint8Array> {
  const { start, end } = range ?? { start: 0, end: bytes.byteLength }
  for (let at = start; at < end; at += CHUNK) {
    await new Promise(setImmediate)
    yield bytes.subarray(at, Math.min(at + CHUNK, end))
  }
}

/** The same, each call and each chunk of which is a step of that life. */
function steps<T extends object>(target: T, life: Life): T {
  return new Proxy(target, {
    get(_, key) {
      const value: unknown = Reflect.get(target, key)
      if (typeof value !== 'function') return isPort(value) ? steps(value, life) : value
      return (...args: unknown[]) => {
        const call = () => value.apply(target, args)
        return key === 'read' || key === 'list' ? stepping(call, life) : called(call, life)
      }
    },
  })
}

async function called(call: () => unknown, life: Life): Promise<unknown> {
  await life.step()
  const value = await call()
  await life.step()
  if (isBlob(value)) return { ...value, body: stepping(() => value.body, life) }
  return isPort(value) ? steps(value, life) : value
}

async function* stepping(open: () => unknown, life: Life): AsyncGenerator<unknown> {
  await life.step()
  for await (const chunk of open() as AsyncIterable<unknown>) {
    await life.step()
    yield chunk
  }
}

/** An object with methods, no plain data. */
function isPort(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || value instanceof Promise) return false
  return ![Object.prototype, Array.prototype, null].includes(Object.getPrototypeOf(value))
}

function isBlob(value: unknown): value is UpstreamBlob {
  return typeof value === 'object' && value !== null && 'body' in value
}

async function unasked(): Promise<never> {
  throw new Error('nobody asks for this here')
}
