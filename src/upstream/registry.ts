/** Upstream over HTTP: the pull side of distribution-spec 1.1 towards one registry and its mirrors. */
import { CrossdockError } from '../errors.ts'
import { algorithmOf, type Digest, digestOf, isDigest } from '../oci/digest.ts'
import type { Descriptor } from '../oci/manifest.ts'
import type { BlobStat, ByteRange, RawManifest, TagPage, Upstream, UpstreamBlob } from '../ports.ts'
import type { Answer } from './answer.ts'
import { parseContentRange, parseLength } from './content-range.ts'
import { checkIsBlob, Download } from './download.ts'
import { type Ask, isHeadRefused } from './endpoint.ts'
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
    const answer = await this.#askManifest(name, reference, 'HEAD', what)
    await answer.discard()
    if (isAbsent(answer)) return undefined
    const stated =
      answer.status === 200 ? this.#statedDescriptor(answer, reference, what) : undefined
    if (stated !== undefined) return stated
    const raw = await this.manifest(name, reference)
    return raw && { mediaType: raw.mediaType, digest: raw.digest, size: raw.bytes.byteLength }
  }

  async manifest(name: string, reference: string): Promise<RawManifest | undefined> {
    const what = this.#manifestName(name, reference)
    const answer = await this.#askManifest(name, reference, 'GET', what)
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
    const path = `/v2/${checkedName(name)}/blobs/${digest}`
    const ask: Ask = { kind: 'blob', what, repository: name, method: 'HEAD', path, headers: {} }
    const head = await this.#endpoints.send({ ...ask, deadlineMs: this.#deadlineMs })
    await head.discard()
    if (isAbsent(head)) return undefined
    if (!isHeadRefused('HEAD', head)) {
      checkIsBlob(head, what)
      const size = parseLength(head.header('content-length'))
      if (size !== undefined) return { digest, size }
    }
    const get = await this.#endpoints.send({
      ...ask,
      method: 'GET',
      headers: { range: 'bytes=0-0' },
      deadlineMs: this.#deadlineMs,
    })
    get.close()
    if (isAbsent(get)) return undefined
    checkIsBlob(get, what)
    const size = sizeFrom(get)
    if (size !== undefined) return { digest, size }
    throw new CrossdockError(
      'badSize',
      `${what}: ${get.url.host} does not say how large it is; pull the image as a whole`,
      { reason: 'no-size' },
    )
  }

  async blob(
    name: string,
    blob: { readonly digest: Digest; readonly size?: number | undefined },
    options: { readonly range?: ByteRange; readonly signal?: AbortSignal } = {},
  ): Promise<UpstreamBlob | undefined> {
    const what = this.#blobName(name, blob.digest)
    const path = `/v2/${checkedName(name)}/blobs/${blob.digest}`
    const { signal } = options
    const ask: Ask = {
      kind: 'blob',
      what,
      repository: name,
      method: 'GET',
      path,
      headers: {},
      signal,
    }
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
    return await readTags(
      (path) => this.#list('tags', name, path, what),
      checkedName(name),
      page,
      what,
    )
  }

  async referrers(name: string, subject: Digest): Promise<readonly Descriptor[]> {
    const what = `referrers of ${this.name}/${name}@${subject}`
    const get = (path: string) => this.#list('referrers', name, path, what)
    return await readReferrers(get, checkedName(name), subject, what)
  }

  #askManifest(
    name: string,
    reference: string,
    method: 'GET' | 'HEAD',
    what: string,
  ): Promise<Answer> {
    return this.#endpoints.send({
      kind: 'manifest',
      what,
      repository: name,
      method,
      path: `/v2/${checkedName(name)}/manifests/${checkedReference(reference)}`,
      headers: { accept: ACCEPT },
      deadlineMs: this.#deadlineMs,
      maxBytes: this.#around.limits.manifestSize,
    })
  }

  #list(kind: 'tags' | 'referrers', name: string, path: string, what: string): Promise<Answer> {
    return this.#endpoints.send({
      kind,
      what,
      repository: name,
      method: 'GET',
      path,
      headers: { accept: kind === 'tags' ? 'application/json' : ACCEPT },
      deadlineMs: this.#deadlineMs,
      maxBytes: MAX_LIST_BYTES,
    })
  }

  /** What a HEAD says, if it says all and in a form that can be believed. */
  #statedDescriptor(answer: Answer, reference: string, what: string): Descriptor | undefined {
    const digest = answer.header('docker-content-digest')
    const size = parseLength(answer.header('content-length'))
    const mediaType = answer.contentType
    if (digest === undefined || !isDigest(digest) || size === undefined) return undefined
    if (mediaType === undefined || !ACCEPT.includes(mediaType)) return undefined
    if (isDigest(reference)) checkDigest(digest, reference, answer, what)
    return { mediaType, digest, size }
  }

  #manifestName(name: string, reference: string): string {
    return `manifest ${this.name}/${name}${isDigest(reference) ? '@' : ':'}${reference}`
  }

  #blobName(name: string, digest: Digest): string {
    return `blob ${digest} of ${this.name}/${name}`
  }
}

function isAbsent(answer: Answer): boolean {
  return answer.status === 404 || answer.status === 410
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
