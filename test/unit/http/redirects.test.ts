import { describe, expect, test } from 'vitest'
import { type Asker, followsRedirects, mayBeSentTo } from '../../../src/http/redirects.ts'

const CONTAINERD: Asker = {
  isHead: false,
  userAgent: 'containerd/2.1.9+unknown',
  range: undefined,
  ifRange: undefined,
  host: 'registry.example:5000',
  isEncrypted: false,
  hasCredentials: false,
}

describe('who is sent on for a blob', () => {
  test.each([
    'containers/5.39.2 (github.com/containers/image)',
    'Buildah/1.43.2',
    'skopeo/1.22.0',
    'cri-o/1.33 go/1.24 os/linux arch/amd64',
    'docker/28.5.2 go/go1.27.1 UpstreamClient(Docker-Client/28.2.2)',
    'containerd/2.1.9+unknown',
    'buildkit/v0.32',
    'oras/1.3.3',
    'go-containerregistry/v0.20.7',
    'kaniko/1.2 go-containerregistry',
  ])('%s', (userAgent) => {
    expect(followsRedirects({ ...CONTAINERD, userAgent })).toBe(true)
  })

  test.each([undefined, '', 'curl/8', 'Go-http-client/1.1', 'crossdock', 'my-docker/1'])(
    'not %s, which is not known to follow',
    (userAgent) => expect(followsRedirects({ ...CONTAINERD, userAgent })).toBe(false),
  )

  test.each(['bytes=0-', 'bytes=5000000-', 'bytes=0-1', 'bytes=-500'])('for %s', (range) => {
    expect(followsRedirects({ ...CONTAINERD, range })).toBe(true)
  })

  test.each(['bytes=0-1,5-6', 'bytes=0-1, 5-6', 'bytes=-', 'lines=1-2'])('not for %s', (range) => {
    expect(followsRedirects({ ...CONTAINERD, range })).toBe(false)
  })

  test('not for HEAD, and not where the range depends on what the blob is', () => {
    expect(followsRedirects({ ...CONTAINERD, isHead: true })).toBe(false)
    expect(followsRedirects({ ...CONTAINERD, ifRange: '"x"' })).toBe(false)
  })

  test('not from HTTPS to HTTP', () => {
    const asker = { ...CONTAINERD, isEncrypted: true }
    expect(mayBeSentTo(asker, new URL('http://s3.example/b'))).toBe(false)
    expect(mayBeSentTo(asker, new URL('https://s3.example/b'))).toBe(true)
  })

  test('crane to names alone', () => {
    const crane = { ...CONTAINERD, userAgent: 'go-containerregistry/v0.20.7' }
    const at = (asker: Asker, url: string) => mayBeSentTo(asker, new URL(url))
    expect(at(crane, 'http://s3.example/b')).toBe(true)
    expect(at(crane, 'http://10.0.0.1:9000/b')).toBe(false)
    expect(at(crane, 'http://[fd00::1]/b')).toBe(false)
    expect(at(CONTAINERD, 'http://10.0.0.1:9000/b')).toBe(true)
  })

  test('not with credentials to another port of the same host', () => {
    const asker = { ...CONTAINERD, hasCredentials: true }
    expect(mayBeSentTo(asker, new URL('http://registry.example:9000/b'))).toBe(false)
    expect(mayBeSentTo(asker, new URL('http://s3.example:9000/b'))).toBe(true)
    expect(mayBeSentTo(CONTAINERD, new URL('http://registry.example:9000/b'))).toBe(true)
  })
})
