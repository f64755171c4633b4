/** How a blob is answered: whole, in ranges, or that the client has it (distribution-spec 1.1, RFC 9110). */
import type { Pulls } from '../convert/pulls.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStat, ByteRange } from '../ports/blobs.ts'
import { type Blobs, blobUnknown } from '../pull/blobs.ts'
import { Handover } from '../pull/handover.ts'
import { matchesEtag } from './etag.ts'
import type { Exchange } from './exchange.ts'
import type { Headers } from './headers.ts'
import { type PartAnswers, type Parts, rangeOf, refuseRange } from './parts.ts'
import { askerOf, followsRedirects, mayBeSentTo } from './redirects.ts'

/** The exchange is done with a chunk before it asks for the next one. */
const REUSE = { reuse: true } as const

/** Where a blob was asked for, and the headers that this brings. */
export interface BlobTarget {
  readonly repository: Repository
  readonly headers: Headers
}

export interface BlobAnswersDeps {
  readonly pulls: Pick<Pulls, 'blob' | 'address'>
  readonly blobs: Pick<Blobs, 'stat' | 'stated'>
  /** Notes that somebody used a digest. */
  readonly touch: (digest: Digest) => void
  readonly parts: PartAnswers
  readonly served: (what: 'blob', from: 'store' | 'upstream' | 'redirect') => void
}

export class BlobAnswers {
  readonly #deps: BlobAnswersDeps
  readonly #handover = new Handover()

  constructor(deps: BlobAnswersDeps) {
    this.#deps = deps
  }

  /** Answers GET and HEAD of a blob. */
  async answer(exchange: Exchange, target: BlobTarget, digest: Digest): Promise<void> {
    const { repository } = target
    const etag = `"${digest}"`
    const headers = {
      ...target.headers,
      'Content-Type': 'application/octet-stream',
      'Docker-Content-Digest': digest,
      ETag: etag,
      'Accept-Ranges': 'bytes',
    }
    const condition = exchange.header('if-none-match')
    if (exchange.isHead || condition !== undefined) {
      const { size } = await this.#stat(repository, digest)
      if (matchesEtag(condition, etag)) {
        exchange.send(304, headers)
        return
      }
      if (exchange.isHead) {
        exchange.send(200, { ...headers, 'Content-Length': size })
        return
      }
    }
    if (await this.#redirect(exchange, repository, digest, headers)) return
    if (await this.#ranges(exchange, repository, digest, headers)) return
    const blob = await this.#deps.pulls.blob(repository, digest, exchange)
    if (blob === undefined) throw blobUnknown(repository, digest)
    this.#deps.touch(digest)
    this.#deps.served('blob', blob.growing === undefined ? 'store' : 'upstream')
    exchange.begin(200, { ...headers, 'Content-Length': blob.size })
    await exchange.stream(this.#handover.read(blob, undefined, REUSE))
  }

  /** Sends a client that follows to where the blob lies by itself; false where there is no such place, or not for this client. */
  async #redirect(
    exchange: Exchange,
    repository: Repository,
    digest: Digest,
    headers: Headers,
  ): Promise<boolean> {
    const asker = askerOf(exchange.incoming)
    if (!followsRedirects(asker)) return false
    const address = await this.#deps.pulls.address(repository, digest)
    if (address === undefined || !mayBeSentTo(asker, address)) return false
    this.#deps.touch(digest)
    this.#deps.served('blob', 'redirect')
    // The address ends soon.
    exchange.send(307, { ...headers, Location: address.href, 'Cache-Control': 'no-store' })
    return true
  }

  /** Answers the ranges that were asked for; false when it was none, or the whole. */
  async #ranges(
    exchange: Exchange,
    repository: Repository,
    digest: Digest,
    headers: Parts['headers'] & { readonly ETag: string },
  ): Promise<boolean> {
    if (exchange.header('range') === undefined) return false
    const stated = await this.#deps.blobs.stated(repository, digest)
    if (stated === undefined) throw blobUnknown(repository, digest)
    const range = rangeOf(exchange, stated.size, headers.ETag)
    if (range.kind === 'whole') return false
    if (range.kind === 'unsatisfiable') {
      const { size } = await this.#stat(repository, digest)
      refuseRange(exchange, size, headers)
    } else {
      const parts = { size: stated.size, ranges: range.ranges, headers }
      await this.#parts(exchange, repository, digest, parts)
    }
    return true
  }

  async #stat(repository: Repository, digest: Digest): Promise<BlobStat> {
    const stat = await this.#deps.blobs.stat(repository, digest)
    if (stat === undefined) throw blobUnknown(repository, digest)
    return stat
  }

  async #parts(
    exchange: Exchange,
    repository: Repository,
    digest: Digest,
    parts: Omit<Parts, 'open' | 'atHand'>,
  ): Promise<void> {
    const openBlob = async () => {
      const blob = await this.#deps.pulls.blob(repository, digest, exchange)
      if (blob === undefined) throw blobUnknown(repository, digest)
      this.#deps.touch(digest)
      this.#deps.served('blob', blob.growing === undefined ? 'store' : 'upstream')
      return blob
    }
    // All ranges of what is whole come from it; of what still grows each comes from where it is.
    const [first] = parts.ranges
    let known = await openBlob()
    const open = async (range: ByteRange) => {
      if (known.growing !== undefined && range !== first) known = await openBlob()
      return this.#handover.read(known, range, REUSE)
    }
    await this.#deps.parts.send(exchange, { ...parts, open, atHand: known.growing === undefined })
  }
}
