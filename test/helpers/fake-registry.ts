/**
 * An upstream registry in this process, on a real socket: images in one line, a log of what was asked, and faults on demand.
 *
 *     await using registry = await FakeRegistry.start()
 *     const image = await registry.pushImage('library/alpine', '3', { layers: 2 })
 *     registry.fault({ blob: image.layers[0].digest }, { dropAfter: 1000, times: 1 })
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { type FakeAuth, FakeGuard } from './fake-guard.ts'
import {
  type FakeImage,
  type FakeIndex,
  type FakeManifest,
  fakeImage,
  fakeIndex,
  type ImageOptions,
  json,
} from './fake-image.ts'
import {
  type Fault,
  type FaultTarget,
  JSON_TYPE,
  type LoggedRequest,
  matches,
  parseRequest,
  type Reply,
  send,
} from './fake-wire.ts'

export interface RegistryOptions {
  readonly auth?: FakeAuth | undefined
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string } | undefined
  /** Default 127.0.0.1. */
  readonly host?: string
  /** A path in front of everything; what lies elsewhere is 404. */
  readonly base?: string
}

interface Repository {
  readonly manifests: Map<string, FakeManifest>
  readonly tags: Map<string, Digest>
  readonly blobs: Map<string, Uint8Array>
}

const KEEP_ALIVE_MS = 120_000

export class FakeRegistry implements AsyncDisposable {
  readonly requests: LoggedRequest[] = []
  /** Whether `/referrers/` is there. */
  hasReferrers = true
  /** Tags per page at most. */
  pageSize = 1000
  /** Sockets that are open, and the most that were at a time. */
  sockets = 0
  peakSockets = 0
  readonly guard: FakeGuard
  readonly #repositories = new Map<string, Repository>()
  readonly #faults: { target: FaultTarget; fault: Fault; left: number; skip: number }[] = []
  readonly #server: Server
  readonly #scheme: string
  readonly #base: string

  private constructor(options: RegistryOptions) {
    this.guard = new FakeGuard(options.auth)
    this.#scheme = options.tls ? 'https' : 'http'
    this.#base = options.base ?? ''
    const handle = (request: IncomingMessage, response: ServerResponse) => {
      this.#handle(request, response).catch(() => request.socket.destroy())
    }
    const tls = options.tls && {
      cert: options.tls.cert,
      key: options.tls.key,
      ...(options.tls.ca !== undefined && { ca: options.tls.ca, requestCert: true }),
    }
    this.#server = tls ? createTlsServer(tls, handle) : createServer(handle)
    this.#server.on('connection', (socket) => {
      this.sockets += 1
      this.peakSockets = Math.max(this.peakSockets, this.sockets)
      socket.on('close', () => {
        this.sockets -= 1
      })
    })
    // On a busy machine the default, 5 s, ends connections in the moment in which they are used again.
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS
  }

  static async start(options: RegistryOptions = {}): Promise<FakeRegistry> {
    const registry = new FakeRegistry(options)
    await new Promise<void>((resolve) => {
      registry.#server.listen(0, options.host ?? '127.0.0.1', resolve)
    })
    return registry
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** `127.0.0.1:PORT`. */
  get host(): string {
    const { address, family } = this.#server.address() as AddressInfo
    return `${family === 'IPv6' ? `[${address}]` : address}:${this.port}`
  }

  get url(): string {
    return `${this.#scheme}://${this.host}`
  }

  // -------------------------------------------------------------------------------------------- content

  /** A random image, or one out of the given layers, under a tag. */
  async pushImage(name: string, tag: string, options: ImageOptions = {}): Promise<FakeImage> {
    const image = await fakeImage(options)
    this.push(name, tag, image)
    return image
  }

  /** An index of one random image a platform. */
  async pushIndex(
    name: string,
    tag: string,
    options: ImageOptions & { readonly platforms?: readonly string[] } = {},
  ): Promise<FakeIndex> {
    const { platforms = ['linux/amd64', 'linux/arm64'], dialect = 'oci' } = options
    const images = await Promise.all(
      platforms.map((platform) => fakeImage({ ...options, platform })),
    )
    const index = fakeIndex(images, { dialect })
    this.push(name, tag, index)
    return index
  }

  /** An image, an index with its images, or any manifest. */
  push(name: string, tag: string | undefined, what: FakeImage | FakeIndex | FakeManifest): void {
    const repository = this.#repository(name)
    if ('images' in what) for (const image of what.images) this.push(name, undefined, image)
    if ('layers' in what) {
      for (const layer of what.layers) repository.blobs.set(layer.digest, layer.bytes)
      repository.blobs.set(what.config.digest, what.config.bytes)
    }
    repository.manifests.set(what.digest, what)
    if (tag !== undefined) repository.tags.set(tag, what.digest)
  }

  pushBlob(name: string, bytes: Uint8Array): Digest {
    const digest = digestOf(bytes)
    this.#repository(name).blobs.set(digest, bytes)
    return digest
  }

  deleteTag(name: string, tag: string): void {
    this.#repository(name).tags.delete(tag)
  }

  /** A tag, or a manifest or blob by digest. */
  delete(name: string, reference: string): void {
    const { tags, manifests, blobs } = this.#repository(name)
    for (const map of [tags, manifests, blobs]) map.delete(reference)
  }

  // -------------------------------------------------------------------------------------------- faults

  /** The first fault that matches a request and is not used up applies. Returns a function that ends it. */
  fault(target: FaultTarget, fault: Fault): () => void {
    const entry = {
      target,
      fault,
      left: fault.times ?? Number.POSITIVE_INFINITY,
      skip: fault.skip ?? 0,
    }
    this.#faults.push(entry)
    return () => {
      entry.left = 0
    }
  }

  /** Holds what matches until `release()`; `reached` resolves when the first request has come. */
  hold(
    target: FaultTarget,
    how: { readonly afterBytes?: number } = {},
  ): { readonly reached: Promise<void>; release(): void } {
    const gate = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    const wait = () => {
      reached.resolve()
      return gate.promise
    }
    this.fault(target, { gate: wait, gateAfter: how.afterBytes ?? 0 })
    return { reached: reached.promise, release: () => gate.resolve() }
  }

  clearFaults(): void {
    this.#faults.length = 0
  }

  // -------------------------------------------------------------------------------------------- log

  /** How many requests matched, e.g. `{kind: 'blob', method: 'GET'}`. */
  count(target: FaultTarget): number {
    return this.requests.filter((request) => matches(target, request)).length
  }

  // -------------------------------------------------------------------------------------------- HTTP

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const logged = await parseRequest(request, this.#base)
    this.requests.push(logged)
    const fault = this.#takeFault(logged)
    if (fault.reset) {
      request.socket.resetAndDestroy()
      return
    }
    if (fault.raw !== undefined) {
      request.socket.end(fault.raw)
      return
    }
    if (fault.stallHeaders) return
    if (fault.gate !== undefined && !fault.gateAfter) await fault.gate()
    if (fault.redirectTo !== undefined) {
      const { redirectTo } = fault
      const location = typeof redirectTo === 'string' ? redirectTo : redirectTo(logged.path)
      response.writeHead(fault.status ?? 307, { location, ...fault.headers }).end()
      return
    }
    if (fault.status !== undefined && fault.status >= 300) {
      const body = fault.body ?? json({ errors: [{ code: 'UNKNOWN', message: 'as told' }] })
      response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers })
      response.end(logged.method === 'HEAD' ? undefined : body)
      return
    }
    const answer = this.#answer(logged)
    await send(request, response, logged, answer, fault)
  }

  #takeFault(request: LoggedRequest): Fault {
    for (const entry of this.#faults) {
      if (entry.left <= 0 || !matches(entry.target, request)) continue
      if (entry.skip > 0) {
        entry.skip -= 1
        continue
      }
      entry.left -= 1
      return entry.fault
    }
    return {}
  }

  #answer(request: LoggedRequest): Reply {
    const { kind, name, reference } = request
    if (kind === 'token') return this.guard.token(request)
    const challenge = this.guard.challenge(request, `${this.url}${this.#base}`)
    if (challenge !== undefined) return challenge
    if (kind === 'ping') return { status: 200, headers: JSON_TYPE, body: json({}) }
    const repository = this.#repositories.get(name)
    if (repository === undefined) return unknown('NAME_UNKNOWN')
    if (kind === 'tags') return this.#tags(request, repository)
    if (kind === 'referrers') return this.#referrers(request, repository)
    if (kind === 'blob') {
      const body = repository.blobs.get(reference)
      return body === undefined ? unknown('BLOB_UNKNOWN') : blobReply(body, reference)
    }
    const digest = repository.tags.get(reference) ?? reference
    const manifest = kind === 'manifest' ? repository.manifests.get(digest) : undefined
    if (manifest === undefined) return unknown('MANIFEST_UNKNOWN')
    const headers = { 'content-type': manifest.mediaType, 'docker-content-digest': digest }
    return { status: 200, headers, body: manifest.bytes }
  }

  #tags(request: LoggedRequest, repository: Repository): Reply {
    const query = new URL(request.path, 'http://x').searchParams
    const last = query.get('last') ?? ''
    const n = Math.min(Number(query.get('n') ?? this.pageSize), this.pageSize)
    const rest = [...repository.tags.keys()].sort().filter((tag) => tag > last)
    const tags = rest.slice(0, n)
    const next = `</v2/${request.name}/tags/list?n=${n}&last=${tags.at(-1)}>; rel="next"`
    const headers = { ...JSON_TYPE, ...(rest.length > n && n > 0 && { link: next }) }
    return { status: 200, headers, body: json({ name: request.name, tags }) }
  }

  #referrers(request: LoggedRequest, repository: Repository): Reply {
    if (!this.hasReferrers) return unknown('NOT_FOUND')
    const manifests = [...repository.manifests.values()].flatMap((manifest) => {
      const parsed = JSON.parse(Buffer.from(manifest.bytes).toString()) as {
        subject?: { digest?: string }
        artifactType?: string
        annotations?: Record<string, string>
      }
      if (parsed.subject?.digest !== request.reference) return []
      const { artifactType, annotations } = parsed
      const size = manifest.bytes.byteLength
      const { mediaType, digest } = manifest
      return [{ mediaType, digest, size, artifactType, annotations }]
    })
    const mediaType = 'application/vnd.oci.image.index.v1+json'
    const body = json({ schemaVersion: 2, mediaType, manifests })
    return { status: 200, headers: { 'content-type': mediaType }, body }
  }

  #repository(name: string): Repository {
    let repository = this.#repositories.get(name)
    if (repository === undefined) {
      repository = { manifests: new Map(), tags: new Map(), blobs: new Map() }
      this.#repositories.set(name, repository)
    }
    return repository
  }
}

function blobReply(body: Uint8Array, digest: string): Reply {
  const headers = {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    'accept-ranges': 'bytes',
    etag: `"${digest}"`,
  }
  return { status: 200, headers, body, ranges: true }
}

function unknown(code: string): Reply {
  return { status: 404, headers: JSON_TYPE, body: json({ errors: [{ code }] }) }
}
