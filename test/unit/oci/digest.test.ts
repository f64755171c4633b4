import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  algorithmOf,
  type Digest,
  digestOf,
  Hasher,
  hexOf,
  isDigest,
  parseDigest,
} from '../../../src/oci/digest.ts'
import { failureOf } from '../../helpers/manifest-documents.ts'

const HEX = 'a'.repeat(64)

describe('a digest', () => {
  it('of nothing is the well-known one', () => {
    expect(digestOf(new Uint8Array())).toBe(
      'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    )
  })

  it('comes back from its own text, with its parts', () => {
    const algorithms = fc.constantFrom('sha256' as const, 'sha512' as const)
    fc.assert(
      fc.property(fc.uint8Array(), algorithms, (bytes, algorithm) => {
        const digest = digestOf(bytes, algorithm)

        expect(parseDigest(digest)).toBe(digest)
        expect(`${algorithmOf(digest)}:${hexOf(digest)}`).toBe(digest)
        expect(algorithmOf(digest)).toBe(algorithm)
      }),
    )
  })

  it('does not depend on how the bytes come in', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (chunks) => {
        const hasher = new Hasher()
        for (const chunk of chunks) hasher.update(chunk)
        const whole = Buffer.concat(chunks)

        expect(hasher.size).toBe(whole.byteLength)
        expect(hasher.digest()).toBe(digestOf(whole))
      }),
    )
  })

  it.each([
    '',
    HEX,
    `sha256:${HEX.slice(1)}`,
    `sha256:${HEX}a`,
    `sha256:${HEX.toUpperCase()}`,
    `SHA256:${HEX}`,
    `sha512:${HEX}`,
    `sha384:${'a'.repeat(96)}`,
    `md5:${'a'.repeat(32)}`,
    'sha256:../../../../etc/passwd',
    `sha256:${HEX}\n`,
    ` sha256:${HEX}`,
    `sha256+b64:${HEX}`,
  ])('is not %j', (text) => {
    expect(isDigest(text)).toBe(false)
    expect(failureOf(() => parseDigest(text) satisfies Digest).kind).toBe('digestInvalid')
  })

  it('is not repeated whole in a message when it is huge', () => {
    expect(() => parseDigest('x'.repeat(1_000_000))).toThrow(/^.{0,400}$/)
  })
})
