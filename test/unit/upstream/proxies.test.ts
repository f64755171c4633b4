import { describe, expect, test } from 'vitest'
import { proxyFor } from '../../../src/upstream/proxies.ts'

const env = { HTTP_PROXY: 'http://plain:3128', https_proxy: 'secure:3129' }
const proxy = (url: string, more: Record<string, string> = {}) =>
  proxyFor(new URL(url), { ...env, ...more })

describe('proxyFor', () => {
  test('chooses by scheme, in either case, and completes a bare host', () => {
    expect(proxy('http://registry.example/')).toBe('http://plain:3128')
    expect(proxy('https://registry.example/')).toBe('http://secure:3129')
    expect(proxyFor(new URL('https://registry.example/'), {})).toBeUndefined()
  })

  test('never asks a proxy for loopback', () => {
    for (const url of ['http://127.0.0.1:5000/', 'http://localhost/', 'https://[::1]/']) {
      expect(proxy(url)).toBeUndefined()
    }
  })

  test.each([
    ['*', true],
    ['registry.example', true],
    ['example', true],
    ['.example', true],
    ['*.example', true],
    ['a.example, registry.example:443', true],
    ['registry.example:8443', false],
    ['gistry.example', false],
    ['other.example', false],
  ])('NO_PROXY=%s spares registry.example: %s', (no, isSpared) => {
    expect(proxy('https://registry.example/', { NO_PROXY: no }) === undefined).toBe(isSpared)
  })

  test('NO_PROXY knows subnets and addresses', () => {
    expect(proxy('http://10.1.2.3/', { no_proxy: '10.0.0.0/8' })).toBeUndefined()
    expect(proxy('http://[fd00::5]/', { no_proxy: 'fd00::/8' })).toBeUndefined()
    expect(proxy('http://11.1.2.3/', { no_proxy: '10.0.0.0/8, nonsense/99' })).toBeDefined()
    expect(proxy('http://10.1.2.3/', { no_proxy: '10.1.2.3' })).toBeUndefined()
  })
})
