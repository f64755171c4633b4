import { describe, expect, it } from 'vitest'
import { locate, type Names } from '../../../src/naming.ts'
import type { Upstream } from '../../../src/ports/upstream.ts'

const upstream = { name: 'kiosk.example' } as Upstream
const upstreams = {
  find: (host: string) => (host === upstream.name ? upstream : undefined),
  default: upstream,
  names: [upstream.name],
}

describe('the upstream that a request names', () => {
  const online: Names = { upstreams, offline: false }

  it('is found in any case', () => {
    expect(locate('app', 'KIOSK.example', online)).toEqual({ upstream: upstream.name, name: 'app' })
  })

  // The first begins with the Kelvin sign, whose lower case is the letter k.
  it.each([
    '\u212aiosk.example',
    'kiosk.example\r\nx: y',
    'kiosk.example\u2028',
    'k\u00f6.example',
  ])('is unknown when it cannot be said in a header: %j', (ns) => {
    for (const offline of [false, true]) {
      const ask = () => locate('app', ns, { upstreams, offline })
      expect(ask).toThrow(expect.objectContaining({ kind: 'nameUnknown' }))
    }
  })
})
