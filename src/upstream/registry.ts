/** Upstream over HTTP: the pull side of distribution-spec 1.1 towards one registry and its mirrors. */
import { CrossdockError } from '../errors.ts'
import { algorithmOf, type Digest, digestOf, isDigest } from '../oci/digest.ts'
import type { Descriptor } from '../oci/manifest.ts'
import type { BlobStat, ByteRange } from '../ports/blobs.ts'
import type { RawManifest, TagPage, Upstream, UpstreamBlob } from '../ports/upstream.ts'
import type { Answer } from './answer.ts'
import { parseContentRange, parseLength } from './content-range.ts'
import type { Ask } from './courier.ts'
import { checkIsBlob, Download } from './download.ts'
import { isAbsent } from './endpoint.ts'
import type { Endpoints } from './endpoints.ts'
import { readReferrers, readTags } from './listing.ts'
import { ACCEPT, manifestTypeOf } from './manifest-type.ts'
import type { Surroundings } from './settings.ts'

/** Tries without progress before the mirrors are left out. */
const MIRROR_TRIES = 2
/** Of one page of tags or referrers. */
const MAX_LIST_BYTES = 4 * 1024 * 1024
/** distribution-spec: components of letters and digits with one separator between, joined by slashes. */
const NAME = /^[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*$/
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/

export class Registry implements Upstream {
  readonly name: string
  readonly #endpoints: Endpoints
  readonly #around: Surroundings
  /** For a request whose whole answer is small, ms. */
  readonly #deadlineMs: number

  constructor(name: string, endpoints: Endpoints, around: Surroundings) {
    this.name = name
    this.#endpoints = endpoints
    this.#around = around
    const { connectTimeout, upstreamHeaders, upstreamIdle } = around.limits
    this.#deadlineMs = connectTimeout + upstreamHeaders + 2 * upstreamIdle
  }

  async resolve(name: string, reference: string): Promise<Descriptor | undefined> {
    const what = this.#manifestName(name, reference)
    const found = await this.#endpoints.peek(this.#manifestAsk(name, reference, what), (head) =>
      statedDescriptor(head, reference),
    )
    if ('told' in found) return found.told
    const raw = await this.#rawManifest(found.answer, reference, what)
    return raw && { mediaType: raw.mediaType, digest: raw.digest, size: raw.bytes.byteLength }
  }

  get restMs(): number {
    return this.#endpoints.restMs
  }

  async manifest(name: string, reference: string): Promise<RawManifest | undefined> {
    const what = this.#manifestName(name, reference)
    const answer = await this.#endpoints.send(this.#manifestAsk(name, reference, what))
    return await this.#rawManifest(answer, reference, what)
  }

  async #rawManifest(
    answer: Answer,
    reference: string,
    what: string,
  ): Promise<RawManifest | undefined> {
    if (answer.status !== 200) {
      await answer.discard()
      return undefined
    }
    const { bytes } = answer
    const digest = digestOf(bytes, isDigest(reference) ? algorithmOf(reference) : 'sha256')
    checkDigest(digest, isDigest(reference) ? reference : digest, answer, what)
    checkStatedDigest(bytes, answer, what)
    return { mediaType: manifestTypeOf(answer.contentType, bytes, what), digest, bytes }
  }

  async statBlob(name: string, digest: Digest): Promise<BlobStat | undefined> {
    const what = this.#blobName(name, digest)
    const ask = { ...this.#blobAsk(name, digest, what), headers: { range: 'bytes=0-0' } }
    const found = await this.#endpoints.peek({ ...ask, deadlineMs: this.#deadlineMs }, (head) =>
      statedSize(head, digest),
    )
    if ('told' in found) return { digest, size: found.told }
    const { answer } = found
    answer.close()
    if (isAbsent(answer)) return undefined
    checkIsBlob(answer, what)
    const size = sizeFrom(answer)
    if (size !== undefined) return { digest, size }
    throw new CrossdockError(
      'badSize',
      `${what}: ${answer.url.host} does not say how large it is; pull the image as a whole`,
      { reason: 'no-size' },
    )
  }

  async blob(
    name: string,
    blob: { readonly digest: Digest; readonly size?: number | undefined },
    options: { readonly range?: ByteRange; readonly signal?: AbortSignal } = {},
  ): Promise<UpstreamBlob | undefined> {
    const what = this.#blobName(name, blob.digest)
    const { signal } = options
    const ask = { ...this.#blobAsk(name, blob.digest, what), signal }
    const { limits, clock, random, events } = this.#around
    const download = new Download({
      what,
      size: blob.size,
      range: options.range,
      signal,
      retries: limits.retries,
      leastRate: limits.leastRate,
      clock,
      random,
      broken: (reason) => events.upstreamError?.({ upstream: this.name, kind: 'blob', reason }),
      open: async (headers, tries) => {
        const skipMirrors = tries >= MIRROR_TRIES
        const answer = await this.#endpoints.send({ ...ask, headers }, { skipMirrors })
        if (!isAbsent(answer)) return answer
        await answer.discard()
        return undefined
      },
    })
    if (!(await download.open())) return undefined
    return { size: download.size, body: download.read() }
  }

  async tags(
    name: string,
    page: { readonly n?: number | undefined; readonly last?: string | undefined },
  ): Promise<TagPage | undefined> {
    const what = `tags of ${this.name}/${name}`
    return await readTags((rest) => this.#list('tags', name, rest, what), page, what)
  }

  async referrers(name: string, subject: Digest): Promise<readonly Descriptor[]> {
    const what = `referrers of ${this.name}/${name}@${subject}`
    const get = (rest: string) => this.#list('referrers', name, rest, what)
    return await readReferrers(get, subject, what)
  }

  #manifestAsk(name: string, reference: string, what: string): Ask {
    return {
      kind: 'manifest',
      what,
      repository: checkedName(name),
      rest: `manifests/${checkedReference(reference)}`,
      headers: { accept: ACCEPT },
      deadlineMs: this.#deadlineMs,
      ceiling: { bytes: this.#around.limits.manifestSize, setting: 'limits.manifestSize' },
    }
  }

  #blobAsk(name: string, digest: Digest, what: string): Ask {
    const repository = checkedName(name)
    return { kind: 'blob', what, repository, rest: `blobs/${digest}`, headers: {} }
  }

  #list(kind: 'tags' | 'referrers', name: string, rest: string, what: string): Promise<Answer> {
    return this.#endpoints.send({
      kind,
      what,
      repository: checkedName(name),
      rest,
      headers: { accept: kind === 'tags' ? 'application/json' : ACCEPT },
      deadlineMs: this.#deadlineMs,
      ceiling: { bytes: MAX_LIST_BYTES },
    })
  }

  #manifestName(name: string, reference: string): string {
    return `manifest ${this.name}/${name}${isDigest(reference) ? '@' : ':'}${reference}`
  }

  #blobName(name: string, digest: Digest): string {
    return `blob ${digest} of ${this.name}/${name}`
  }
}

/** What a HEAD says, if it says all and in a form that can be believed. */
function statedDescriptor(answer: Answer, reference: string): Descriptor | undefined {
  const digest = answer.header('docker-content-digest')
  const size = answer.statedLength
  const mediaType = answer.contentType
  if (digest === undefined || !isDigest(digest) || !size) return undefined
  if (mediaType === undefined || !ACCEPT.includes(mediaType)) return undefined
  // Somebody else's digest; the bytes that GET brings are hashed.
  if (isDigest(reference) && digest !== reference) return undefined
  return { mediaType, digest, size }
}

/** The size of a blob, unless it is that of something else: a log-in page, encoded bytes, a body that HEAD has not got. */
function statedSize(answer: Answer, digest: Digest): number | undefined {
  const isNamed = answer.header('docker-content-digest') !== undefined
  if (answer.contentType === 'text/html' && !isNamed) return undefined
  const size = answer.statedLength
  const isEmpty = digest === digestOf(new Uint8Array(0), algorithmOf(digest))
  return size === 0 && !isEmpty ? undefined : size
}

/** Names come parsed; this is the last door before they become part of a URL. */
function checkedName(name: string): string {
  if (name.length <= 255 && NAME.test(name)) return name
  throw new CrossdockError(
    'nameInvalid',
    `repository name ${JSON.stringify(name.slice(0, 255))} is not well-formed; use lower case, digits and . _ - /`,
  )
}

function checkedReference(reference: string): string {
  if (isDigest(reference) || TAG.test(reference)) return reference
  throw new CrossdockError(
    'tagInvalid',
    `reference ${JSON.stringify(reference.slice(0, 160))} is neither a tag nor a digest; check it`,
  )
}

function checkDigest(found: Digest, expected: Digest, answer: Answer, what: string): void {
  if (found === expected) return
  throw new CrossdockError(
    'badDigest',
    `${what}: ${answer.url.host} sends ${found} instead; the registry serves something else, tell its operator`,
    { reason: 'manifest-digest' },
  )
}

function checkStatedDigest(bytes: Uint8Array, answer: Answer, what: string): void {
  const stated = answer.header('docker-content-digest')
  if (stated === undefined || !isDigest(stated)) return
  checkDigest(digestOf(bytes, algorithmOf(stated)), stated, answer, what)
}

function sizeFrom(answer: Answer): number | undefined {
  if (answer.status === 200) return parseLength(answer.header('content-length'))
  const range = answer.header('content-range')
  // An empty blob has no byte 0.
  if (answer.status === 416) return /^bytes \*\/0$/.test(range ?? '') ? 0 : undefined
  return parseContentRange(range)?.total
}
