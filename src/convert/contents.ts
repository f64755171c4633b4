/**
 * What layers really are, whatever their media types say: their first bytes tell. Looked at in the store or in a download that
 * has to come anyway, or else by one small range from upstream, once for each layer; where nothing can be had in time, the media
 * type is believed.
 */
import { LRUCache } from 'lru-cache'
import { type Compression, HEAD_SIZE } from '../codec/codec.ts'
import { sniffCompression } from '../codec/codecs.ts'
import { CrossdockError } from '../errors.ts'
import type { Interest } from '../lib/interest.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { type ByteStream, peek } from '../lib/streams.ts'
import { within } from '../lib/within.ts'
import type { Digest } from '../oci/digest.ts'
import type { Descriptor } from '../oci/manifest.ts'
import { findMediaType } from '../oci/media-type.ts'
import type { Repository } from '../oci/repository.ts'
import type { Upstreams } from '../ports/upstream.ts'
import type { Blobs } from '../pull/blobs.ts'

/** `unreadable`: no tar in any compression that is read here. */
export type Content = Compression | 'unreadable'

/** Layers of one image that are looked at side by side. */
const LOOKS = 4

/** How long an image waits for that, ms; what comes later is there for the next puller. */
const PATIENCE_MS = 5_000

export interface ContentsDeps {
  readonly blobs: Pick<Blobs, 'open' | 'openStored' | 'isFolded'>
  readonly upstreams: Upstreams
  readonly offline: boolean
}

export class Contents {
  readonly #deps: ContentsDeps
  /** By upstream and digest: no registry says what another one's layers are. */
  readonly #known = new LRUCache<string, Content>({ max: 50_000 })
  readonly #flights = new SingleFlight<Content | undefined>()

  constructor(deps: ContentsDeps) {
    this.#deps = deps
  }

  /**
   * Those of the layers that are certainly not what their media types say. `fetchedFor` is the work that needs the layers whole:
   * then they are fetched.
   */
  async mislabelled(
    repository: Repository,
    layers: readonly Descriptor[],
    fetchedFor?: Interest,
  ): Promise<ReadonlySet<Digest>> {
    const found = new Set<Digest>()
    const queue = new Map(layers.map((layer) => [layer.digest, layer])).values()
    const look = async () => {
      for (const layer of queue) {
        const content = await this.#find(repository, layer, fetchedFor)
        const said = findMediaType(layer.mediaType)?.compression
        if (content !== undefined && content !== said) found.add(layer.digest)
      }
    }
    await within(Promise.all(Array.from({ length: LOOKS }, look)), PATIENCE_MS)
    return new Set(found)
  }

  async #find(
    repository: Repository,
    layer: Descriptor,
    fetchedFor: Interest | undefined,
  ): Promise<Content | undefined> {
    const key = `${repository.upstream} ${layer.digest}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    return await this.#flights.run(key, async () => {
      const content = await this.#look(repository, layer, fetchedFor)
      if (content !== undefined) this.#known.set(key, content)
      return content
    })
  }

  /** `undefined`: nobody can say now. */
  async #look(
    repository: Repository,
    { digest, size }: Descriptor,
    fetchedFor: Interest | undefined,
  ): Promise<Content | undefined> {
    const range = { start: 0, end: Math.min(HEAD_SIZE, size) }
    try {
      const stored = await this.#deps.blobs.openStored(digest)
      if (stored !== undefined) return await contentOf(stored.read(range))
      if (await this.#deps.blobs.isFolded(digest)) return 'gzip'
      if (fetchedFor !== undefined) {
        const blob = await this.#deps.blobs.open(repository, digest, fetchedFor)
        return blob && (await contentOf(blob.read(range)))
      }
      const upstream = this.#deps.offline
        ? undefined
        : this.#deps.upstreams.find(repository.upstream)
      const part = await upstream?.blob(repository.name, { digest, size }, { range })
      return part && (await contentOf(part.body))
    } catch (error) {
      if (error instanceof CrossdockError) return undefined
      throw error
    }
  }
}

/** Reads no more than it needs, also of an upstream that sends everything. */
export async function contentOf(layer: ByteStream): Promise<Content> {
  const { head, rest } = await peek(layer, HEAD_SIZE)
  await rest.return(undefined)
  return sniffCompression(head) ?? 'unreadable'
}
