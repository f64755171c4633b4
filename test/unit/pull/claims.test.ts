import { describe, expect, it } from 'vitest'
import { digestOf } from '../../../src/oci/digest.ts'
import type { Place } from '../../../src/ports/sidecars.ts'
import { claimPlace } from '../../../src/pull/claims.ts'

const app = { upstream: 'ghcr.io', name: 'acme/app' }

describe('what a sidecar says of tags and repositories', () => {
  it('stays small however many tags name one manifest, and keeps the youngest', () => {
    const bytesFor = (tags: number) => {
      let places: readonly Place[] = []
      let bytes = 0
      for (let i = 0; i < tags; i += 1) {
        places = claimPlace(places, app, { name: `nightly-build-${i}`, at: 1_764_000_000_000 + i })
        bytes += JSON.stringify(places).length
      }
      return { bytes, places }
    }
    const few = bytesFor(750).bytes
    const { bytes: many, places } = bytesFor(1500)

    // Written anew each time, twice as many tags would be four times as many bytes.
    expect(many).toBeLessThan(few * 2.3)
    const names = Object.keys(places[0]?.tags ?? {})
    expect(names).toHaveLength(128)
    expect(names).toContain('nightly-build-1499')
    expect(names).not.toContain('nightly-build-1')
  })

  it('stays small however many repositories hold one manifest, the youngest last', () => {
    let places: readonly Place[] = []
    for (let i = 0; i < 1000; i += 1) {
      places = claimPlace(places, { upstream: 'ghcr.io', name: `acme/app${i}` })
    }

    expect(places).toHaveLength(256)
    expect(places.at(-1)?.name).toBe('acme/app999')
  })

  it('takes a tag for what it is, whatever it is called', () => {
    const places = ['__proto__', 'constructor', 'toString'].reduce<readonly Place[]>(
      (all, name) => claimPlace(all, app, { name, at: 7 }),
      [],
    )

    expect(JSON.parse(JSON.stringify(places))[0].tags).toEqual(
      JSON.parse('{"__proto__":7,"constructor":7,"toString":7}'),
    )
  })

  it('keeps what else is known of a place', () => {
    const list = { zstd: digestOf(Buffer.from('list')) }
    const places = claimPlace([{ ...app, tags: { one: 1 }, lists: list }], app, {
      name: 'two',
      at: 2,
    })

    expect(places).toEqual([{ ...app, tags: { one: 1, two: 2 }, lists: list }])
  })
})
