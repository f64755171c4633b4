/** One client of the soak: does what the dice say, in every way that clients do it, and believes nothing. */
import { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf } from '../../src/oci/digest.ts'
import { ask, open } from './faults-http.ts'
import {
  getBlob,
  getManifest,
  PoisonError,
  type PullAsk,
  pull,
  RefusedError,
} from './faults-puller.ts'
import type { Dice } from './faults-seed.ts'
import { LARGE, type SoakImages } from './soak-images.ts'
import type { SoakLedger } from './soak-ledger.ts'

export interface Surroundings {
  /** `http://HOST:PORT` of the crossdock of this moment. */
  readonly url: string
  /** The same of its listener for zstd. */
  readonly zstdUrl: string
  readonly images: SoakImages
  readonly ledger: SoakLedger
  /** True when nothing is wrong and nothing was for a while: then no refusal has an excuse. */
  readonly isCalm: boolean
  readonly isOver: boolean
}

const PROFILES = [
  'original',
  'gzip',
  'zstd',
  'none',
  'estargz',
  'zstdchunked',
  'zstdchunked-stargz',
] as const
/** From one deed to the next, ms at most. */
const LEISURE_MS = 600
/** No deed may take longer, ms: waiting in a queue of 50 included. */
const LONGEST_MS = 90_000

type Deed = (client: SoakClient) => Promise<void>
const DEEDS: readonly (readonly [weight: number, name: string, deed: Deed])[] = [
  [34, 'pull by tag', (one) => one.pullTag()],
  [14, 'pull by digest', (one) => one.pullDigest()],
  [10, 'ranges', (one) => one.ranges()],
  [6, 'resume', (one) => one.resume()],
  [8, 'heads', (one) => one.heads()],
  [12, 'leave', (one) => one.leave()],
  [3, 'stall', (one) => one.stall()],
  [4, 'lists', (one) => one.lists()],
  [4, 'conditions', (one) => one.conditions()],
  [4, 'unknowns', (one) => one.unknowns()],
]
const WEIGHTS = DEEDS.reduce((sum, [weight]) => sum + weight, 0)

export class SoakClient {
  readonly #around: Surroundings
  readonly #dice: Dice
  /** Half of the clients keep their connections. */
  readonly #agent: Agent | undefined

  constructor(around: Surroundings, dice: Dice) {
    this.#around = around
    this.#dice = dice
    this.#agent = dice.chance(0.5) ? new Agent({ keepAlive: true, maxSockets: 4 }) : undefined
  }

  async run(): Promise<void> {
    const { ledger } = this.#around
    while (!this.#around.isOver) {
      const [name, deed] = this.#choose()
      const began = performance.now()
      const wasCalm = this.#around.isCalm
      try {
        await deed(this)
        ledger.count(name)
      } catch (error) {
        ledger.judge(name, error, wasCalm && this.#around.isCalm)
      }
      const took = performance.now() - began
      if (took > LONGEST_MS) ledger.violate(`${name}: took ${Math.round(took / 1000)} s`)
      await sleep(this.#dice.int(LEISURE_MS))
    }
    this.#agent?.destroy()
  }

  #choose(): readonly [string, Deed] {
    let at = this.#dice.int(WEIGHTS)
    for (const [weight, name, deed] of DEEDS) {
      if (at < weight) return [name, deed]
      at -= weight
    }
    throw new Error('weights do not add up')
  }

  #how(more: PullAsk = {}): PullAsk {
    const signal = AbortSignal.timeout(LONGEST_MS * 2)
    return { ...more, signal, ...(this.#agent && { agent: this.#agent }) }
  }

  /** Any way to say the profile: suffix, two kinds of path, header, port, or none at all. */
  #way(profile: string, tag: string): readonly [base: string, reference: string, how: PullAsk] {
    const { url, zstdUrl } = this.#around
    const how = this.#how()
    const ways = [
      [`${url}/v2`, `${tag}-${profile}`, how],
      [`${url}/v2`, `${tag}-${profile}`, how],
      [`${url}/as/${profile}/v2`, tag, how],
      [`${url}/v2/as/${profile}`, tag, how],
      [`${url}/v2`, tag, this.#how({ headers: { 'crossdock-profile': profile } })],
      [`${zstdUrl}/v2`, tag, how],
      [`${url}/v2`, tag, how],
    ] as const
    return this.#dice.pick<(typeof ways)[number]>(ways)
  }

  #somewhere(): readonly [name: string, tag: string] {
    const { images } = this.#around
    if (this.#dice.chance(0.02)) return [LARGE.name, LARGE.tag]
    return [this.#dice.pick(images.names), this.#dice.pick(images.tags)]
  }

  async pullTag(): Promise<void> {
    const [name, tag] = this.#somewhere()
    const [base, reference, how] = this.#way(this.#dice.pick(PROFILES), tag)
    const { manifests, digest, document } = await getManifest(base, name, reference, how)
    const child = manifests.length > 0 ? this.#dice.pick(manifests).digest : digest
    // By the digest that the tag named, as clients do; a tag may have moved meanwhile.
    if (document.config === undefined && manifests.length === 0) return
    this.#around.ledger.acknowledge(name, await pull(base, name, child, how))
  }

  async pullDigest(): Promise<void> {
    const known = [...this.#around.ledger.acknowledged.values()]
    if (known.length === 0) return
    const { name, digest, layers } = this.#dice.pick(known)
    const image = await pull(`${this.#around.url}/v2`, name, digest, this.#how())
    if (String(image.layers.map((layer) => layer.digest)) !== String(layers)) {
      throw new PoisonError(`${name}@${digest} had other layers before`)
    }
    this.#around.ledger.acknowledge(name, image)
  }

  /** A blob of an image that somebody has had. */
  #anyBlob(): { readonly name: string; readonly digest: string; readonly url: string } | undefined {
    const known = [...this.#around.ledger.acknowledged.values()]
    if (known.length === 0) return undefined
    const { name, layers } = this.#dice.pick(known)
    const digest = this.#dice.pick(layers)
    return { name, digest, url: `${this.#around.url}/v2/${name}/blobs/${digest}` }
  }

  async ranges(): Promise<void> {
    const blob = this.#anyBlob()
    if (blob === undefined) return
    const whole = await getBlob(`${this.#around.url}/v2`, blob.name, blob, this.#how())
    for (let i = 0; i < 3; i += 1) {
      const start = this.#dice.int(whole.byteLength)
      const end = Math.min(whole.byteLength, start + 1 + this.#dice.int(100_000))
      const headers = { range: `bytes=${start}-${end - 1}` }
      const answer = await ask(blob.url, this.#how({ headers }))
      if (answer.status !== 206 || !answer.isWhole) throw new RefusedError('range', answer)
      if (!answer.bytes.equals(whole.subarray(start, end))) {
        throw new PoisonError(`${headers.range} of ${blob.digest} has other bytes`)
      }
    }
    const headers = { range: `bytes=${whole.byteLength}-` }
    const beyond = await ask(blob.url, this.#how({ headers }))
    if (beyond.status !== 416) throw new RefusedError('range beyond the end', beyond)
  }

  /** Leaves in the middle of a blob and asks for the rest, as containerd does. */
  async resume(): Promise<void> {
    const blob = this.#anyBlob()
    if (blob === undefined) return
    const first = await open(blob.url, this.#how())
    if (first.status !== 200) throw new RefusedError('resume', { ...(await first.body), ...first })
    const size = Number(first.headers['content-length'])
    const wanted = this.#dice.int(size)
    const had: Buffer[] = []
    let bytes = 0
    for await (const chunk of first.incoming as AsyncIterable<Buffer>) {
      had.push(chunk)
      bytes += chunk.byteLength
      if (bytes >= wanted) break
    }
    first.abort()
    if (bytes === size) return
    const headers = { range: `bytes=${bytes}-` }
    const rest = await ask(blob.url, this.#how({ headers }))
    if (rest.status !== 206 || !rest.isWhole) throw new RefusedError('resume', rest)
    const digest = digestOf(Buffer.concat([...had, rest.bytes]))
    if (digest !== blob.digest)
      throw new PoisonError(`${blob.digest} resumed at ${bytes} is ${digest}`)
  }

  async heads(): Promise<void> {
    const blob = this.#anyBlob()
    if (blob === undefined) return
    const head = await ask(blob.url, { ...this.#how(), method: 'HEAD' })
    if (head.status !== 200) throw new RefusedError('head', head)
    const body = await getBlob(`${this.#around.url}/v2`, blob.name, blob, this.#how())
    if (Number(head.headers['content-length']) !== body.byteLength) {
      throw new PoisonError(`HEAD of ${blob.digest} says ${head.headers['content-length']} bytes`)
    }
    const [name, tag] = this.#somewhere()
    const [base, reference, how] = this.#way(this.#dice.pick(PROFILES), tag)
    const named = await ask(`${base}/${name}/manifests/${reference}`, { ...how, method: 'HEAD' })
    if (named.status !== 200) throw new RefusedError('head of a manifest', named)
  }

  /** Goes away in the middle of whatever it asked for. */
  async leave(): Promise<void> {
    const [name, tag] = this.#somewhere()
    const [base, reference, how] = this.#way(this.#dice.pick(PROFILES), tag)
    const blob = this.#anyBlob()
    const url =
      blob === undefined || this.#dice.chance(0.5)
        ? `${base}/${name}/manifests/${reference}`
        : blob.url
    const abort = new AbortController()
    const timer = setTimeout(() => abort.abort(), this.#dice.int(60))
    await ask(url, { ...how, signal: abort.signal })
    clearTimeout(timer)
  }

  /** Stops reading for seconds, and then reads on. */
  async stall(): Promise<void> {
    const base = `${this.#around.url}/v2`
    const { document } = await getManifest(base, LARGE.name, LARGE.tag, this.#how())
    const [layer] = document.layers
    if (layer === undefined) throw new Error('the large image has no layer')
    const head = await open(`${base}/${LARGE.name}/blobs/${layer.digest}`, this.#how())
    head.incoming.pause()
    await sleep(this.#dice.int(4000))
    const body = await head.body
    const { status, headers } = head
    if (status !== 200 || !body.isWhole)
      throw new RefusedError('stall', { status, headers, ...body })
    if (digestOf(body.bytes) !== layer.digest)
      throw new PoisonError(`${layer.digest} after a stall`)
  }

  async lists(): Promise<void> {
    const { url, images } = this.#around
    const name = this.#dice.pick(images.names)
    const answer = await ask(`${url}/v2/${name}/tags/list`, this.#how())
    if (answer.status !== 200 || !answer.isWhole) throw new RefusedError('tags', answer)
    const { tags } = JSON.parse(answer.bytes.toString()) as { tags: string[] }
    if (String(tags.toSorted()) !== String(images.tags))
      throw new PoisonError(`tags of ${name}: ${tags}`)
  }

  async conditions(): Promise<void> {
    const known = [...this.#around.ledger.acknowledged.values()]
    if (known.length === 0) return
    const { name, digest } = this.#dice.pick(known)
    const url = `${this.#around.url}/v2/${name}/manifests/${digest}`
    const headers = { 'if-none-match': `"${digest}"` }
    const answer = await ask(url, this.#how({ headers }))
    if (answer.status !== 304) throw new RefusedError('condition', answer)
  }

  async unknowns(): Promise<void> {
    const { url, images } = this.#around
    const name = this.#dice.pick(images.names)
    const digest = `sha256:${this.#dice
      .int(2 ** 32)
      .toString(16)
      .padStart(64, '0')}`
    const path = this.#dice.pick(['manifests/nothing', `manifests/${digest}`, `blobs/${digest}`])
    const answer = await ask(`${url}/v2/${name}/${path}`, this.#how())
    if (answer.status === 200) throw new PoisonError(`${name}/${path} exists`)
    if (answer.status !== 404) throw new RefusedError('unknown', answer)
  }
}
