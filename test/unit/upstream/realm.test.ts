import { describe, expect, test } from 'vitest'
import { allowedRealm, registrableDomain } from '../../../src/upstream/realm.ts'

function isAllowed(registry: string, realm: string, allowedRealms: string[] = []): boolean {
  return allowedRealm(realm, { registry: new URL(registry), allowedRealms }) !== undefined
}

describe('allowedRealm', () => {
  test.each([
    ['https://registry-1.docker.io', 'https://auth.docker.io/token'],
    ['https://ghcr.io', 'https://ghcr.io/token'],
    ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth'],
    ['https://registry.example.co.uk', 'https://auth.example.co.uk/token'],
    ['https://registry.corp:5000', 'https://registry.corp:5000/token'],
    ['http://127.0.0.1:5000', 'http://127.0.0.1:5000/token'],
    ['https://me.azurecr.io', 'https://me.azurecr.io/oauth2/token'],
    ['https://ghcr.io', '/token'],
    ['https://ghcr.io', 'service/token'],
  ])('%s may send us to %s', (registry, realm) => {
    expect(isAllowed(registry, realm)).toBe(true)
  })

  test.each([
    ['another domain', 'https://ghcr.io', 'https://evil.example/token'],
    ['a look-alike', 'https://docker.io', 'https://evildocker.io/token'],
    ['a neighbour under a country suffix', 'https://a.co.uk', 'https://b.co.uk/token'],
    ['a neighbour on shared ground', 'https://me.azurecr.io', 'https://you.azurecr.io/token'],
    ['plain http', 'https://ghcr.io', 'http://ghcr.io/token'],
    ['another port of an address', 'http://127.0.0.1:5000', 'http://127.0.0.1:5001/token'],
    ['another name of loopback', 'http://127.0.0.1:5000', 'http://localhost:5000/token'],
    ['an address in disguise', 'https://ghcr.io', 'https://0x7f000001/token'],
    ['the metadata service', 'https://ghcr.io', 'http://169.254.169.254/token'],
    ['a file', 'https://ghcr.io', 'file:///etc/passwd'],
    ['a user in front of the host', 'https://ghcr.io', 'https://ghcr.io@evil.example/'],
    ['a password for the right host', 'https://ghcr.io', 'https://a:b@ghcr.io/'],
    ['nothing', 'https://ghcr.io', ''],
    ['what is no URL', 'https://ghcr.io', 'https://'],
    ['a relative one elsewhere', 'https://ghcr.io', '//evil.example/token'],
    ['a relative one with another user', 'https://ghcr.io', '//a:b@ghcr.io/token'],
    ['a single label', 'https://registry', 'https://token/'],
  ])('refuses %s', (_, registry, realm) => {
    expect(isAllowed(registry, realm)).toBe(false)
  })

  test('lets hosts of the configuration through, with their port when they have one', () => {
    expect(isAllowed('https://ghcr.io', 'https://sso.example/token', ['sso.example'])).toBe(true)
    expect(isAllowed('https://ghcr.io', 'https://sso.example:8443/t', ['sso.example'])).toBe(true)
    expect(isAllowed('https://ghcr.io', 'https://sso.example/t', ['sso.example:8443'])).toBe(false)
    expect(isAllowed('https://ghcr.io', 'http://sso.example/token', ['sso.example'])).toBe(false)
  })
})

test('registrableDomain knows country suffixes, addresses and single labels', () => {
  expect(registrableDomain('a.b.example.com')).toBe('example.com')
  expect(registrableDomain('a.example.com.au.')).toBe('example.com.au')
  expect(registrableDomain('com.au')).toBeUndefined()
  expect(registrableDomain('127.0.0.1')).toBeUndefined()
  expect(registrableDomain('[::1]')).toBeUndefined()
  expect(registrableDomain('localhost')).toBeUndefined()
})
