/** One response of a registry: headers to ask for, and a body that is either read with a bound or thrown away. */
import type { Dispatcher } from 'undici'
import { CrossdockError } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import { parseLength } from './content-range.ts'
import type { OpenBodies } from './open-bodies.ts'

/** As much of an unwanted body is read to keep its connection; more closes it. */
const DISCARDED_BYTES = 64 * 1024
const DISCARD_MS = 2_000

/** How large a body may be, and the setting that says so. */
export interface Ceiling {
  readonly bytes: number
  readonly setting?: string | undefined
}

export class Answer {
  readonly url: URL
  /** True when a redirect led to another origin than the registry's. */
  readonly isElsewhere: boolean
  /** The whole body, once it was read. */
  bytes: Uint8Array = new Uint8Array(0)
  readonly #response: Dispatcher.ResponseData
  readonly #bodies: OpenBodies

  constructor(
    url: URL,
    response: Dispatcher.ResponseData,
    isElsewhere: boolean,
    bodies: OpenBodies,
  ) {
    this.url = url
    this.#bodies = bodies
    this.isElsewhere = isElsewhere
    this.#response = response
    // A body that breaks while nobody reads it must not end the process; a reader gets the error all the same.
    response.body.on('error', () => undefined)
  }

  get status(): number {
    return this.#response.statusCode
  }

  /** Several fields of one name are joined, as RFC 9110 section 5.3 has it. */
  header(name: string): string | undefined {
    const value = this.#response.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }

  /** The media type without parameters, lower case. */
  get contentType(): string | undefined {
    return this.header('content-type')?.split(';')[0]?.trim().toLowerCase() || undefined
  }

  /** Of the body, as stated; `undefined` also where that is the length of something encoded. */
  get statedLength(): number | undefined {
    return isEncoded(this) ? undefined : parseLength(this.header('content-length'))
  }

  get body(): AsyncIterable<Uint8Array> {
    return this.#response.body
  }

  /** The whole body; throws `badSize` as soon as it turns out larger than allowed. */
  async read({ bytes: maxBytes, setting }: Ceiling, what: string): Promise<Uint8Array> {
    const advice = setting === undefined ? '' : `, or raise ${setting} if it is real`
    const tooLarge = () =>
      new CrossdockError(
        'badSize',
        `${what}: ${this.url.host} sends more than the ${maxBytes} bytes allowed; check what that registry serves${advice}`,
        { reason: 'too-large' },
      )
    if (Number(this.header('content-length')) > maxBytes) {
      this.close()
      throw tooLarge()
    }
    const chunks: Uint8Array[] = []
    let size = 0
    using held = this.#bodies.open(what)
    for await (const chunk of this.body) {
      size += chunk.byteLength
      if (size > maxBytes) throw tooLarge()
      chunks.push(chunk)
      held.grow(size)
    }
    this.bytes = Buffer.concat(chunks)
    return this.bytes
  }

  /** Drops a small body and keeps the connection, or closes it. */
  async discard(): Promise<void> {
    await this.#response.body
      .dump({ limit: DISCARDED_BYTES, signal: AbortSignal.timeout(DISCARD_MS) })
      .catch(() => this.close())
  }

  close(): void {
    this.#response.body.destroy()
  }
}

/** True for bytes that somebody has encoded on the way, although we ask for none of that. */
function isEncoded(answer: Answer): boolean {
  return !['', 'identity'].includes(encodingOf(answer))
}

export function checkEncoding(answer: Answer, what: string): void {
  if (!isEncoded(answer)) return
  const encoding = JSON.stringify(encodingOf(answer).slice(0, 40))
  throw new CrossdockError(
    'badDigest',
    `${what}: ${answer.url.host} sends it with Content-Encoding ${encoding}, which is not what its digest is about; check that registry, or what stands in front of it`,
    { reason: 'content-encoding' },
  )
}

function encodingOf(answer: Answer): string {
  return answer.header('content-encoding')?.trim().toLowerCase() ?? ''
}

/** Some registries say no digest, and some one of another algorithm. */
export function speaksOf(answer: Answer, digest: Digest): boolean {
  const said = answer.header('docker-content-digest')
  if (said === undefined || said === digest) return true
  return said.split(':', 1)[0] !== digest.split(':', 1)[0]
}
