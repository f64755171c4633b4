import { describe, expect, it } from 'vitest'
import { CrossdockError } from '../../../src/errors.ts'
import { appendLayer } from '../../../src/oci/config-layers.ts'
import { digestOf } from '../../../src/oci/digest.ts'

const IDS = ['a', 'b', 'c'].map((text) => digestOf(Buffer.from(text)))
const ADDED = { created_by: 'somebody', comment: 'one more' }

function append(text: string, ids = IDS): string {
  return new TextDecoder().decode(appendLayer(Buffer.from(text), ids, ADDED))
}

describe('appendLayer', () => {
  it('changes diffIDs, adds one and an entry of the history, and nothing else', () => {
    const config =
      '{ "x": 1.50, "history": [ {"created_by":"a"} , {} ],\n "rootfs":{"diff_ids":["sha256:1" , "sha256:2"] } }'

    expect(append(config)).toBe(
      `{ "x": 1.50, "history": [ {"created_by":"a"} , {} ,${JSON.stringify(ADDED)}],\n "rootfs":{"diff_ids":["${IDS[0]}" , "${IDS[1]}","${IDS[2]}"] } }`,
    )
  })

  it.each([
    ['none', '{"rootfs":{"diff_ids":["a","b"]}}', undefined],
    ['an empty one', '{"history":[ ],"rootfs":{"diff_ids":["a","b"]}}', 1],
    [
      'one of a nested object',
      '{"config":{"history":[1]},"rootfs":{"diff_ids":["a","b"]}}',
      undefined,
    ],
  ])('adds to a history where there is one: %s', (_, config, entries) => {
    expect(JSON.parse(append(config)).history?.length).toBe(entries)
  })

  it.each(['{}', '{"rootfs":{"diff_ids":[]}}', '{"rootfs":{"diff_ids":["a"]}}'])(
    'refuses a config of another number of layers: %s',
    (config) => {
      expect(() => append(config)).toThrow(CrossdockError)
    },
  )
})
