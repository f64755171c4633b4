import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { Authorizer, type AuthorizerSettings } from '../../../src/upstream/authorizer.ts'
import type { Dialer, DialRequest } from '../../../src/upstream/dialer.ts'
import { OpenBodies } from '../../../src/upstream/open-bodies.ts'

/** Asks for a token of the realm, and tells what was dialled and whether without a guard. */
async function dialled(realm: string, settings: Partial<AuthorizerSettings> = {}) {
  const asked: { url: string; isTrusted: boolean; authorization: string | undefined }[] = []
  const dialer = {
    bodies: new OpenBodies(),
    request: (url: URL, { isTrusted, headers }: DialRequest) => {
      asked.push({
        url: url.href.split('?')[0] ?? '',
        isTrusted,
        authorization: headers.authorization,
      })
      const body = Object.assign(Readable.from([Buffer.from('{"token":"t"}')]), { dump: () => {} })
      return Promise.resolve({ statusCode: 200, headers: {}, body })
    },
  }
  const authorizer = new Authorizer({
    rule: { registry: new URL('https://registry.example'), allowedRealms: ['sso.test'] },
    isConfigured: true,
    allowAnyTokenService: true,
    dialer: dialer as unknown as Dialer,
    clock: systemClock,
    timeoutMs: 1_000,
    maxTokenBytes: 1_000,
    credentials: () => Promise.resolve(undefined),
    asked: () => undefined,
    ...settings,
  })
  await authorizer.renew('app', undefined, `Bearer realm="${realm}"`, 'it').catch(() => undefined)
  return asked
}

const OWN = 'https://registry.example/token'

describe('the guard over addresses is left out', () => {
  test('for the origin of a registry that is configured, and for realms that are', async () => {
    expect(await dialled(OWN)).toMatchObject([{ url: OWN, isTrusted: true }])
    const sso = 'https://sso.test/token'
    expect(await dialled(sso)).toMatchObject([{ url: sso, isTrusted: true }])
  })

  test('for nothing that a registry says which the configuration does not name', async () => {
    expect(await dialled(OWN, { isConfigured: false })).toMatchObject([{ isTrusted: false }])
  })

  test.each(['https://auth.registry.example/token', 'https://elsewhere.test/token'])(
    'nor for %s',
    async (realm) => {
      expect(await dialled(realm)).toMatchObject([{ url: realm, isTrusted: false }])
    },
  )
})

describe('credentials', () => {
  const credentials = () => Promise.resolve({ username: 'robot', password: 'c4nary' })

  test('go to the registry, its domain and configured realms, and nowhere else', async () => {
    for (const realm of [OWN, 'https://auth.registry.example/t', 'https://sso.test/t']) {
      expect(await dialled(realm, { credentials })).toMatchObject([{ url: realm }])
      expect((await dialled(realm, { credentials }))[0]?.authorization).toMatch(/^Basic /)
    }
    expect(await dialled('https://elsewhere.test/token', { credentials })).toEqual([])
  })
})
