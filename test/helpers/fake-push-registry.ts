/** A registry in this process that can be pushed to, with breaks and tokens on demand. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { digestOf } from '../../src/oci/digest.ts'

export class FakePushRegistry implements AsyncDisposable {
  /** `NAME DIGEST` */
  readonly blobs = new Map<string, Buffer>()
  /** `NAME REFERENCE` */
  readonly manifests = new Map<string, Buffer>()
  readonly requests: string[] = []
  /** Whether it takes note of `subject`. */
  knowsSubjects = true
  /** The next PATCHes break when this many bytes have come. */
  readonly breaks: number[] = []
  /** Tokens are asked for, and this one is right. */
  token: string | undefined
  readonly scopes: string[] = []
  readonly #uploads = new Map<string, Buffer[]>()
  readonly #server: Server
  #count = 0

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch(() => request.socket.destroy())
    })
  }

  static async start(): Promise<FakePushRegistry> {
    const registry = new FakePushRegistry()
    await new Promise<void>((resolve) => registry.#server.listen(0, '127.0.0.1', resolve))
    return registry
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', `http://${this.host}`)
    const method = request.method ?? ''
    if (url.pathname === '/token') {
      this.scopes.push(url.searchParams.get('scope') ?? '')
      response.end(JSON.stringify({ token: this.token }))
      return
    }
    this.requests.push(`${method} ${url.pathname}${url.search}`)
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
      const challenge = `Bearer realm="http://${this.host}/token",service="fake"`
      request.resume()
      response.writeHead(401, { 'www-authenticate': challenge }).end()
      return
    }
    const [, name = '', kind, rest = ''] =
      /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests)\/(.*)$/.exec(url.pathname) ?? []
    if (kind === 'blobs/uploads') await this.#upload(request, response, url, name, rest)
    else if (kind === 'manifests') await this.#manifest(request, response, name, rest)
    else {
      const bytes = this.blobs.get(`${name} ${rest}`)
      response.writeHead(bytes === undefined ? 404 : 200, {
        'content-length': bytes?.byteLength ?? 0,
      })
      response.end(request.method === 'HEAD' ? undefined : bytes)
    }
  }

  async #upload(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    name: string,
    id: string,
  ): Promise<void> {
    const location = (upload: string) => ({
      location: `/v2/${name}/blobs/uploads/${upload}?state=x`,
    })
    if (request.method === 'POST') {
      const mount = url.searchParams.get('mount')
      const bytes = this.blobs.get(`${url.searchParams.get('from')} ${mount}`)
      if (mount !== null && bytes !== undefined) {
        this.blobs.set(`${name} ${mount}`, bytes)
        response.writeHead(201).end()
        return
      }
      this.#count += 1
      this.#uploads.set(String(this.#count), [])
      response.writeHead(202, location(String(this.#count))).end()
      return
    }
    const parts = this.#uploads.get(id)
    if (parts === undefined) {
      request.resume()
      response.writeHead(404).end()
      return
    }
    const received = () => parts.reduce((sum, part) => sum + part.byteLength, 0)
    if (request.method === 'GET') {
      response.writeHead(204, { ...location(id), range: `0-${Math.max(0, received() - 1)}` }).end()
      return
    }
    const limit = request.method === 'PATCH' ? this.breaks.shift() : undefined
    const range = request.headers['content-range']
    if (range !== undefined && Number(range.split('-')[0]) !== received()) {
      request.resume()
      response.writeHead(416).end()
      return
    }
    for await (const chunk of request) {
      parts.push(chunk as Buffer)
      if (limit !== undefined && received() >= limit) {
        request.socket.destroy()
        return
      }
    }
    if (request.method === 'PATCH') {
      response.writeHead(202, location(id)).end()
      return
    }
    const bytes = Buffer.concat(parts)
    const digest = url.searchParams.get('digest')
    if (digestOf(bytes) !== digest) {
      response.writeHead(400).end('{"errors":[{"code":"DIGEST_INVALID"}]}')
      return
    }
    this.blobs.set(`${name} ${digest}`, bytes)
    this.#uploads.delete(id)
    response.writeHead(201).end()
  }

  async #manifest(
    request: IncomingMessage,
    response: ServerResponse,
    name: string,
    reference: string,
  ): Promise<void> {
    if (request.method !== 'PUT') {
      const bytes = this.manifests.get(`${name} ${reference}`)
      response.writeHead(bytes === undefined ? 404 : 200, {
        'content-type': bytes === undefined ? '' : JSON.parse(bytes.toString()).mediaType,
        'content-length': bytes?.byteLength ?? 0,
      })
      response.end(request.method === 'HEAD' ? undefined : bytes)
      return
    }
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const bytes = Buffer.concat(chunks)
    const digest = digestOf(bytes)
    const document = JSON.parse(bytes.toString())
    const parts = [document.config, ...(document.layers ?? [])].filter(Boolean)
    const children = (document.manifests ?? []) as { digest: string }[]
    const isWhole =
      parts.every((part: { digest: string }) => this.blobs.has(`${name} ${part.digest}`)) &&
      children.every((child) => this.manifests.has(`${name} ${child.digest}`))
    if (!isWhole) {
      response.writeHead(404).end('{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}')
      return
    }
    for (const key of [reference, digest]) this.manifests.set(`${name} ${key}`, bytes)
    const noted = this.knowsSubjects && document.subject !== undefined
    response.writeHead(201, {
      'docker-content-digest': digest,
      ...(noted && { 'oci-subject': document.subject.digest }),
    })
    response.end()
  }
}
