import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../../../src/oci/digest.ts'
import type { Proof } from '../../../../src/ports/journal.ts'
import {
  blobIn,
  blobKey,
  proofIn,
  proofKey,
  proofsUnder,
  sidecarIn,
  sidecarKey,
} from '../../../../src/store/s3/keys.ts'

const DIGESTS = [digestOf(Buffer.from('a')), digestOf(Buffer.from('a'), 'sha512')] as const

const part = fc.stringMatching(/^[a-z0-9]{1,8}(?:(?:[._]|__|-{1,3})[a-z0-9]{1,8}){0,2}$/)
const proof: fc.Arbitrary<Proof> = fc
  .record({
    digest: fc.constantFrom(...DIGESTS),
    upstream: fc.constantFrom('docker.io', 'registry.example:5000', '[::1]:5000', 'a%b'),
    name: fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
    size: fc.nat({ max: 2 ** 40 }),
    standing: fc.constantFrom('proven', 'made'),
    role: fc.constantFrom('config', undefined),
  })
  .map(({ role, ...rest }) => (role === undefined ? rest : { ...rest, role: 'config' as const }))

describe('the keys of a store on S3', () => {
  it.each(DIGESTS)('name blobs and sidecars of %s, and lead back', (digest) => {
    expect(blobIn(blobKey(digest))).toBe(digest)
    expect(sidecarIn(sidecarKey(digest))).toBe(digest)
  })

  it('hold the whole of a proof, which lies below its blob', () => {
    fc.assert(
      fc.property(proof, (one) => {
        const key = proofKey(one)
        expect(proofIn(key)).toEqual(one)
        expect(key.startsWith(proofsUnder(one.digest))).toBe(true)
        expect(key.split('/').every((name) => name.length > 0 && name.length < 256)).toBe(true)
      }),
    )
  })

  it('are no folders of one another', () => {
    fc.assert(
      fc.property(proof, proof, (a, b) => {
        expect(proofKey(a).startsWith(`${proofKey(b)}/`)).toBe(false)
      }),
    )
  })

  it.each(['blobs/', 'blobs/sha256/abc', 'blobs/sha256/../x', 'blobs/md5/00'])(
    'that are not ours, like %s, are passed over',
    (key) => {
      expect(blobIn(key)).toBeUndefined()
      expect(sidecarIn(key.replace('blobs', 'sidecars'))).toBeUndefined()
      expect(proofIn(key.replace('blobs', 'proofs'))).toBeUndefined()
    },
  )
})
