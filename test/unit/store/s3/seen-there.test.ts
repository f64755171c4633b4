import { expect, it } from 'vitest'
import { digestOf } from '../../../../src/oci/digest.ts'
import { SeenThere } from '../../../../src/store/s3/seen-there.ts'

const blob = { digest: digestOf(Buffer.from('a blob')), size: 6 }

it('asks once for a while, and again when that is of no use any more', async () => {
  let looks = 0
  const seen = new SeenThere(async () => {
    looks += 1
    return blob
  })

  const there = { kind: 'there' }
  expect([await seen.find(blob), await seen.find(blob)]).toEqual([there, there])
  expect(looks).toBe(1)
  expect(await seen.surely(blob)).toEqual(there)
  seen.delete(blob.digest)
  await seen.find(blob)
  expect(looks).toBe(3)
})

it('calls a blob of another size gone, and says what is there', async () => {
  const seen = new SeenThere(async () => ({ ...blob, size: 5 }))

  expect(await seen.find(blob)).toEqual({ kind: 'gone', instead: { ...blob, size: 5 } })
})

it('does not wait for S3 with each blob while that is away, but says so to who must be sure', async () => {
  let looks = 0
  const seen = new SeenThere(async () => {
    looks += 1
    throw new Error('S3 is away')
  })

  const unknown = { kind: 'unknown' }
  expect([await seen.find(blob), await seen.find(blob)]).toEqual([unknown, unknown])
  expect(looks).toBe(1)
  await expect(seen.surely(blob)).rejects.toThrow('S3 is away')
})
