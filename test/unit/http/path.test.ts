import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTarget } from '../../../src/http/path.ts'
import { parseRoute } from '../../../src/http/route.ts'

describe('the target of a request', () => {
  it.each([
    ['/v2/', undefined, '/v2/'],
    ['/v2/a/manifests/sha256%3Aab?ns=a%3Ab', undefined, '/v2/a/manifests/sha256:ab?ns=a%3Ab'],
    ['/v2/%61%2fb/tags/list', undefined, '/v2/a%2Fb/tags/list'],
    ['/v2/a/manifests/1%253A', undefined, '/v2/a/manifests/1%253A'],
    ['/v2/a%3Fb/manifests/1', undefined, '/v2/a%3Fb/manifests/1'],
    ['/v2/a%00/%c3%bc/%', undefined, '/v2/a%00/%C3%BC/%'],
    ['http://host:1/v2/%61', 'host:1', '/v2/a'],
    ['HTTPS://Host', 'Host', '/'],
    ['http://host?ns=x', 'host', '/?ns=x'],
    ['http://evil@host/v2/', 'evil@host', '/v2/'],
    ['*', undefined, '*'],
    ['ftp://host/v2/', undefined, 'ftp://host/v2/'],
  ])('%s means host %s and %s', (target, authority, url) => {
    expect(parseTarget(target)).toEqual({ authority, url })
  })

  it('is read once: what it means is never another escape', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const once = parseTarget(`/${encodeURIComponent(text.toWellFormed())}`).url
        expect(parseTarget(once).url).toBe(once)
      }),
    )
  })

  it('gives the same route for every way to write a name, tag or digest', () => {
    const escapeAll = (text: string) =>
      [...text].map((char) => `%${char.charCodeAt(0).toString(16)}`).join('')
    const digest = `sha256:${'a'.repeat(64)}`
    for (const [kind, last] of [
      ['manifests', '3-zstd'],
      ['manifests', digest],
      ['blobs', digest],
      ['referrers', digest],
    ] as const) {
      const routeOf = (name: string, reference: string) =>
        parseRoute(parseTarget(`/v2/${name}/${kind}/${reference}`).url, () => false)
      const plain = routeOf('ghcr.io/acme/app', last)

      expect(routeOf('ghcr.io/acme/app', escapeAll(last))).toEqual(plain)
      expect(routeOf(escapeAll('ghcr.io/acme/app'), last)).toEqual(plain)
    }
  })
})
