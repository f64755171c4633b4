/** The registry that lies, as far as its lies concern whoever talks to it: honest bytes come out, or the right error. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CrossdockError } from '../../src/errors.ts'
import { digestOf, isDigest } from '../../src/oci/digest.ts'
import type { Upstream } from '../../src/ports/upstream.ts'
import { describeWith } from '../helpers/fixtures.ts'
import { type HostileRegistry, startHostileRegistry } from '../helpers/fixtures-hostile.ts'
import { bytesOf, type OpenedUpstream, openUpstream } from '../helpers/open-upstream.ts'

/** Lie -> what a pull ends in: `pulled`, an error's kind, or `kind reason`. */
const EXPECTED: Readonly<Record<string, string>> = {
  honest: 'pulled',
  'wrong-digest': 'wrong bytes, for the store to find',
  'short-body': 'upstreamFailed UND_ERR_SOCKET',
  'short-honest': 'badSize size',
  'long-body': 'badSize size',
  'endless-body': 'badSize too-long',
  'no-length': 'pulled',
  'length-too-big': 'badSize size',
  'length-too-small': 'badSize size',
  'wrong-size': 'badSize size',
  'cut-always': 'pulled',
  'range-ignored': 'pulled',
  'range-wrong': 'badSize size',
  'content-encoding': 'badDigest content-encoding',
  'html-blob': 'badSize size',
  'empty-blob': 'badSize size',
  'blob-404': 'absent',
  'big-manifest': 'badSize too-large',
  'endless-manifest': 'badSize too-large',
  'deep-json': 'badManifest json',
  'not-json': 'badManifest json',
  bom: 'badManifest json',
  'manifest-digest': 'badDigest manifest-digest',
  'manifest-by-digest': 'badDigest manifest-digest',
  'media-type': 'badManifest media-type',
  'redirect-loop': 'upstreamFailed redirects',
  'redirect-endless': 'upstreamFailed redirects',
  'redirect-other-host': 'pulled',
  'redirect-metadata': 'upstreamFailed address-not-allowed',
  'redirect-file': 'upstreamFailed redirect-refused',
  // The manifest comes, but its layers are in the repository that it came from.
  'redirect-manifest': 'absent',
  'auth-evil-realm': 'denied realm-not-allowed',
  'auth-file-realm': 'denied realm-not-allowed',
  'auth-metadata-realm': 'denied realm-not-allowed',
  'auth-huge-token': 'badSize too-large',
  'auth-loop': 'denied status-401',
  'auth-broken': 'denied status-401',
  'rate-limit': 'pulled',
  'rate-limit-always': 'tooManyRequests status-429',
  'flaky-503': 'pulled',
  'error-huge': 'upstreamFailed status-500',
  'error-ansi': 'denied status-403',
  'header-huge': 'upstreamFailed UND_ERR_HEADERS_OVERFLOW',
  'stall-headers': 'upstreamTimeout UND_ERR_HEADERS_TIMEOUT',
  'stall-body': 'upstreamTimeout UND_ERR_BODY_TIMEOUT',
  reset: 'upstreamFailed ECONNRESET',
}

describeWith(['shared'], 'the registry that lies', () => {
  let registry: HostileRegistry
  let opened: OpenedUpstream

  beforeAll(async () => {
    registry = await startHostileRegistry()
    opened = openUpstream(
      { url: `http://${registry.host}` },
      {
        limits: { upstreamHeaders: 1_000, upstreamIdle: 500, retries: 2 },
        settings: { username: 'robot', password: 'c4nary' },
      },
    )
  })

  afterAll(async () => {
    await opened?.[Symbol.asyncDispose]()
    await registry?.[Symbol.asyncDispose]()
  })

  test.each(Object.entries(EXPECTED))('%s: %s', async (lie, expected) => {
    const outcome = await pull(opened.upstream, lie).catch((error: unknown) => {
      if (!(error instanceof CrossdockError)) throw error
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be in it
      expect(error.message).not.toMatch(/[\u0000-\u001f\u007f]|c4nary/)
      return `${error.kind} ${error.reason}`
    })

    expect(outcome).toBe(expected)
  })

  test('none of them got a credential that was not for it, or sent us where it liked', async () => {
    const stats = await registry.stats()

    expect(stats['/trap/token']).toBeUndefined()
    expect(stats['/plain/redirect-other-host']?.authorization).toBe(0)
  })
})

/** Tag by HEAD, manifest by digest, every layer with the size that its descriptor says. */
async function pull(upstream: Upstream, name: string): Promise<string> {
  const tagged = await upstream.resolve(name, '1')
  const raw = await upstream.manifest(name, tagged?.digest ?? '1')
  const { layers } = JSON.parse(Buffer.from(raw?.bytes ?? []).toString()) as {
    layers: { digest: string; size: number }[]
  }
  for (const { digest, size } of layers) {
    if (!isDigest(digest)) throw new Error(`${digest} is none`)
    const blob = await upstream.blob(name, { digest, size })
    if (blob === undefined) return 'absent'
    if (digestOf(await bytesOf(blob)) !== digest) return 'wrong bytes, for the store to find'
  }
  return 'pulled'
}
