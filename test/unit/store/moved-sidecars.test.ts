import { expect, test } from 'vitest'
import { digestOf } from '../../../src/oci/digest.ts'
import type { Sidecar } from '../../../src/ports/sidecars.ts'
import { merged } from '../../../src/store/migration/facts.ts'

const HERE = { upstream: 'docker.io', name: 'library/a' }
const LIST = digestOf(Buffer.from('list'))
const KNOWN: Sidecar = {
  digest: digestOf(Buffer.from('manifest')),
  size: 8,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  places: [{ ...HERE, tags: { one: 5, two: 9 } }],
}

test('a sidecar that is not there is told as it is', () => {
  expect(merged(undefined, KNOWN)).toBe(KNOWN)
})

test('what says nothing new leaves a sidecar as it is, so that nothing is written', () => {
  expect(merged(KNOWN, { ...KNOWN, places: [{ ...HERE, tags: { one: 4 } }] })).toBe(KNOWN)
})

test('the younger claim of a tag wins, and other places and lists come beside', () => {
  const there = { upstream: 'ghcr.io', name: 'b', tags: { x: 1 } }
  const told = [{ ...HERE, tags: { one: 6, two: 8, three: 1 }, lists: { estargz: LIST } }, there]
  expect(merged(KNOWN, { ...KNOWN, places: told }).places).toEqual([
    { ...HERE, tags: { one: 6, two: 9, three: 1 }, lists: { estargz: LIST } },
    there,
  ])
})
