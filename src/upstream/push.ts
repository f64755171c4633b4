/** A registry that images are copied to: the push side of distribution-spec 1.1. */
import { Readable } from 'node:stream'
import { CrossdockError } from '../errors.ts'
import { oneLine } from '../lib/printable.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import { type Location, nameAt, urlAt } from '../oci/location.ts'
import type { BlobStat } from '../ports/blobs.ts'
import type { RawManifest } from '../ports/upstream.ts'
import { Answer, speaksOf } from './answer.ts'
import { Authorizer } from './authorizer.ts'
import { parseRetryAfter } from './content-range.ts'
import type { Dialer, DialRequest } from './dialer.ts'
import { networkSetback, Setback, statusSetback } from './failures.ts'
import type { Identify } from './identity.ts'
import { ACCEPT } from './manifest-type.ts'
import type { Surroundings } from './settings.ts'

export interface PushSettings extends Surroundings {
  /** Canonical, as in Repository.upstream. */
  readonly name: string
  readonly location: Location
  readonly dialer: Dialer
  readonly allowedRealms: readonly string[]
  readonly allowAnyTokenService: boolean
  readonly credentials: Identify
}

interface PushRequest {
  readonly what: string
  readonly repository: string
  readonly method: DialRequest['method']
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  /** Made anew for each attempt. */
  readonly body?: (() => Uint8Array | ByteStream) | undefined
}

/** Tries of one blob without any progress. */
const MAX_STALLS = 5
const FIRST_DELAY_MS = 200
const MAX_MANIFEST = 4 * 1024 * 1024

export class RegistryWriter {
  readonly name: string
  /** `registry.example:5000` */
  readonly host: string
  readonly #settings: PushSettings
  readonly #authorizer: Authorizer

  constructor(settings: PushSettings) {
    this.name = settings.name
    this.host = settings.location.origin.host
    this.#settings = settings
    const { location, allowedRealms, dialer, clock, limits, credentials } = settings
    this.#authorizer = new Authorizer({
      rule: { registry: location.origin, allowedRealms },
      // Whoever pushes has named the registry.
      isConfigured: true,
      allowAnyTokenService: settings.allowAnyTokenService,
      dialer,
      clock,
      timeoutMs: limits.connectTimeout + limits.upstreamHeaders,
      maxTokenBytes: limits.tokenSize,
      credentials,
      actions: 'pull,push',
      asked: () => undefined,
    })
  }

  /** The registry's word, as long as it speaks of this very blob: who says another size or digest gets it again. */
  async hasBlob(repository: string, { digest, size }: BlobStat): Promise<boolean> {
    const what = this.#blobName(repository, digest)
    const url = this.#url(repository, `blobs/${digest}`)
    try {
      const answer = await this.#send({ what, repository, method: 'HEAD', url })
      await answer.discard()
      const said = answer.header('content-length')
      const isSize = said === undefined || Number(said) === size
      return answer.status === 200 && isSize && speaksOf(answer, digest)
    } catch (error) {
      // Some refuse HEAD to everybody; the upload will tell.
      if (error instanceof CrossdockError && error.kind === 'denied') return false
      throw error
    }
  }

  /** By tag or digest; `undefined`: it is not there. */
  async manifest(repository: string, reference: string): Promise<Uint8Array | undefined> {
    const what = `manifest ${this.host}/${repository} ${reference}`
    const answer = await this.#send({
      ...{ what, repository, method: 'GET', headers: { accept: ACCEPT } },
      url: this.#url(repository, `manifests/${reference}`),
    })
    if (answer.status === 200) return await answer.read({ bytes: MAX_MANIFEST }, what)
    await answer.discard()
    return undefined
  }

  /** Uploads a blob, or has the registry take it from `from`; after a break it goes on where the registry stopped. */
  async putBlob(
    repository: string,
    blob: BlobStat,
    read: (start: number) => ByteStream,
    from?: string,
  ): Promise<'mounted' | 'uploaded'> {
    const what = this.#blobName(repository, blob.digest)
    let location = await this.#begin(repository, blob.digest, what, from)
    if (location === undefined) return 'mounted'
    let sent = 0
    for (let stalls = 0; sent < blob.size; ) {
      const before = sent
      try {
        location = await this.#append(location, { repository, what, start: sent, blob, read })
        sent = blob.size
      } catch (error) {
        if (!(error instanceof Setback) || !error.isWorthRetrying) throw failureOf(error)
        stalls += 1
        if (stalls >= MAX_STALLS) throw error.failure
        await this.#wait(stalls, error.retryAfterMs)
        const there = await this.#progress(location, repository, what)
        if (there === undefined) location = await this.#restart(repository, blob.digest, what)
        sent = there?.received ?? 0
        location = there?.location ?? location
      }
      if (sent > before) stalls = 0
    }
    location.searchParams.set('digest', blob.digest)
    const answer = await this.#send({
      ...{ what, repository, method: 'PUT', url: location },
      headers: { 'content-length': '0', 'content-type': 'application/octet-stream' },
    })
    await this.#mustBe(answer, [201, 204], what)
    if (!speaksOf(answer, blob.digest)) throw this.#strange(what, 'stored it under another digest')
    return 'uploaded'
  }

  /** Puts a manifest under a tag or its digest; true when the registry took note of its `subject`. */
  async putManifest(repository: string, reference: string, raw: RawManifest): Promise<boolean> {
    const what = `manifest ${this.host}/${repository} ${reference}`
    const answer = await this.#send({
      ...{ what, repository, method: 'PUT', body: () => raw.bytes },
      url: this.#url(repository, `manifests/${reference}`),
      headers: {
        'content-type': raw.mediaType,
        'content-length': String(raw.bytes.byteLength),
      },
    })
    await this.#mustBe(answer, [200, 201], what)
    if (!speaksOf(answer, raw.digest)) {
      throw new CrossdockError(
        'badDigest',
        `${what}: the registry stored ${answer.header('docker-content-digest')} instead of ${raw.digest}; it rewrites manifests, so nothing can be copied there`,
      )
    }
    return answer.header('oci-subject') !== undefined
  }

  /** Where to upload to; `undefined`: the registry had the blob elsewhere and mounted it. */
  async #begin(
    repository: string,
    digest: Digest,
    what: string,
    from: string | undefined,
  ): Promise<URL | undefined> {
    const url = this.#url(repository, 'blobs/uploads/')
    if (from !== undefined) {
      url.searchParams.set('mount', digest)
      url.searchParams.set('from', nameAt(this.#settings.location, from))
    }
    const headers = { 'content-length': '0' }
    const answer = await this.#send({ what, repository, method: 'POST', url, headers })
    await this.#mustBe(answer, from === undefined ? [202] : [201, 202], what)
    if (answer.status === 201) {
      if (speaksOf(answer, digest)) return undefined
      throw this.#strange(what, 'mounted another blob')
    }
    const location = this.#location(answer, what, url)
    if (location !== undefined) return location
    throw this.#strange(what, 'does not say where to upload to')
  }

  async #restart(repository: string, digest: Digest, what: string): Promise<URL> {
    const location = await this.#begin(repository, digest, what, undefined)
    if (location !== undefined) return location
    throw this.#strange(what, 'begins no upload')
  }

  async #append(
    url: URL,
    part: {
      readonly repository: string
      readonly what: string
      readonly start: number
      readonly blob: BlobStat
      readonly read: (start: number) => ByteStream
    },
  ): Promise<URL> {
    const { repository, what, start, blob, read } = part
    const answer = await this.#try({
      ...{ what, repository, method: 'PATCH', url, body: () => read(start) },
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(blob.size - start),
        ...(start > 0 && { 'content-range': `${start}-${blob.size - 1}` }),
      },
    })
    await this.#mustBe(answer, [201, 202, 204], what)
    return this.#location(answer, what, url) ?? url
  }

  /** How far an interrupted upload got; `undefined`: the registry has forgotten it. */
  async #progress(
    url: URL,
    repository: string,
    what: string,
  ): Promise<{ readonly received: number; readonly location: URL } | undefined> {
    const answer = await this.#send({ what, repository, method: 'GET', url })
    await answer.discard()
    const range = /^(?:bytes=)?0-(\d+)$/.exec(answer.header('range') ?? '')
    if (answer.status !== 204 || range?.[1] === undefined) return undefined
    // `0-0` is one byte to some and none to others; a digest check would notice, so nothing is assumed.
    const last = Number(range[1])
    if (last === 0) return undefined
    return { received: last + 1, location: this.#location(answer, what, url) ?? url }
  }

  /** Tries again after what passes. */
  async #send(request: PushRequest): Promise<Answer> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#try(request)
      } catch (error) {
        const isOver = attempt >= this.#settings.limits.retries
        if (!(error instanceof Setback) || !error.isWorthRetrying || isOver) throw failureOf(error)
        await this.#wait(attempt + 1, error.retryAfterMs)
      }
    }
  }

  async #try(request: PushRequest): Promise<Answer> {
    const { repository, what } = request
    const name = nameAt(this.#settings.location, repository)
    const known = this.#authorizer.find(name)
    let answer = await this.#dial(request, known)
    if (answer.status === 401) {
      const challenge = answer.header('www-authenticate')
      await answer.discard()
      const better = await this.#authorizer.renew(name, known, challenge, what)
      if (better !== undefined) answer = await this.#dial(request, better)
    }
    const { status } = answer
    if (status === 401 || status === 403 || status === 429 || status >= 500) {
      await answer.discard()
      const retryAfterMs = parseRetryAfter(answer.header('retry-after'), this.#settings.clock.now())
      throw statusSetback(status, retryAfterMs, what, this.host)
    }
    return answer
  }

  async #dial(request: PushRequest, authorization: string | undefined): Promise<Answer> {
    const { method, url, body, what } = request
    const { dialer } = this.#settings
    const content = body?.()
    const isOwn = url.origin === this.#settings.location.origin.origin
    const stream =
      content === undefined || content instanceof Uint8Array ? content : Readable.from(content)
    try {
      const response = await dialer.request(url, {
        method,
        isTrusted: isOwn,
        isLong: stream !== undefined,
        headers: {
          'user-agent': 'crossdock',
          ...request.headers,
          ...(authorization !== undefined && isOwn && { authorization }),
        },
        ...(stream !== undefined && { body: stream }),
      })
      return new Answer(url, response, !isOwn, dialer.bodies)
    } catch (error) {
      if (error instanceof CrossdockError) throw error
      throw networkSetback(error, what, url.host)
    }
  }

  async #wait(attempt: number, askedMs = 0): Promise<void> {
    const ceiling = FIRST_DELAY_MS * 2 ** attempt
    await this.#settings.clock.sleep(askedMs + ceiling * (0.5 + this.#settings.random() / 2))
  }

  /** Where the answer to a request for `asked` says that the upload goes on; relative to that URL. */
  #location(answer: Answer, what: string, asked: URL): URL | undefined {
    const location = answer.header('location')
    if (location === undefined || !URL.canParse(location, asked.href)) return undefined
    return this.#checked(this.#below(new URL(location, asked)), asked, what)
  }

  /** A registry that knows nothing of the path that it is reached by leaves it out (distribution does with relative URLs). */
  #below(url: URL): URL {
    const { origin, base } = this.#settings.location
    const isUnaware = url.origin === origin.origin && url.pathname.startsWith('/v2/')
    if (isUnaware && !base.startsWith('/v2')) url.pathname = `${base}${url.pathname}`
    return url
  }

  /** An upload goes on elsewhere, but never in the clear when it began encrypted. */
  #checked(url: URL, base: URL, what: string): URL {
    const isDowngrade = base.protocol === 'https:' && url.protocol === 'http:'
    const isWeb = url.protocol === 'https:' || url.protocol === 'http:'
    if (isWeb && !isDowngrade && url.username === '' && url.password === '') return url
    const place = JSON.stringify(`${url.protocol}//${url.host}`.slice(0, 255))
    throw this.#strange(what, `wants the upload at ${place}, where nothing is sent`)
  }

  async #mustBe(answer: Answer, statuses: readonly number[], what: string): Promise<void> {
    if (statuses.includes(answer.status)) {
      await answer.discard()
      return
    }
    const said = await answer.read({ bytes: 64 * 1024 }, what).catch(() => new Uint8Array())
    const text = oneLine(Buffer.from(said).toString().replace(/\s+/g, ' ')).slice(0, 300)
    throw this.#strange(what, `does not take it (${answer.status}): ${text}`)
  }

  #strange(what: string, how: string): CrossdockError {
    return new CrossdockError(
      'upstreamFailed',
      `${what}: ${this.host} ${how}; check that it is a registry that may be pushed to`,
      { reason: 'push-refused' },
    )
  }

  #url(repository: string, rest: string): URL {
    return urlAt(this.#settings.location, repository, rest)
  }

  #blobName(repository: string, digest: Digest): string {
    return `blob ${digest} to ${this.host}/${repository}`
  }
}

function failureOf(error: unknown): unknown {
  return error instanceof Setback ? error.failure : error
}
