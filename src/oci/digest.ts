/** Digests as in image-spec "descriptor.md#digests": `sha256:` and `sha512:` with lower-case hex, nothing else. */
import { createHash } from 'node:crypto'
import { CrossdockError } from '../errors.ts'

declare const digestBrand: unique symbol
/** `sha256:<64 hex>` or `sha512:<128 hex>`; made by `parseDigest`, `digestOf` or a `Hasher` alone. */
export type Digest = string & { readonly [digestBrand]: true }

export type Algorithm = 'sha256' | 'sha512'

const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

export function isDigest(text: string): text is Digest {
  return DIGEST.test(text)
}

/** Throws `digestInvalid` for anything but a well-formed sha256 or sha512 digest. */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text
  throw new CrossdockError(
    'digestInvalid',
    `digest ${JSON.stringify(text.slice(0, 160))} is not sha256:<64 hex> or sha512:<128 hex>; check the reference`,
  )
}

export function algorithmOf(digest: Digest): Algorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256'
}

export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1)
}

export function digestOf(bytes: Uint8Array, algorithm: Algorithm = 'sha256'): Digest {
  return new Hasher(algorithm).update(bytes).digest()
}

/** Digest and size of bytes while they pass. */
export class Hasher {
  readonly #algorithm: Algorithm
  readonly #hash
  /** Bytes seen so far. */
  size = 0

  constructor(algorithm: Algorithm = 'sha256') {
    this.#algorithm = algorithm
    this.#hash = createHash(algorithm)
  }

  update(bytes: Uint8Array): this {
    this.#hash.update(bytes)
    this.size += bytes.byteLength
    return this
  }

  /** Ends the hash; call it once. */
  digest(): Digest {
    return `${this.#algorithm}:${this.#hash.digest('hex')}` as Digest
  }
}
