import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatPlatform, matchesPlatform, parsePlatform } from '../../../src/oci/platform.ts'
import { failureOf } from '../../helpers/manifest-documents.ts'

describe('a platform', () => {
  it.each([
    ['linux/amd64', { os: 'linux', architecture: 'amd64' }],
    ['linux/arm64/v8', { os: 'linux', architecture: 'arm64', variant: 'v8' }],
    ['linux/arm/7', { os: 'linux', architecture: 'arm', variant: 'v7' }],
    ['linux/x86_64', { os: 'linux', architecture: 'amd64' }],
    ['Linux/AArch64', { os: 'linux', architecture: 'arm64' }],
    ['linux/armhf', { os: 'linux', architecture: 'arm', variant: 'v7' }],
    ['linux/armel', { os: 'linux', architecture: 'arm', variant: 'v6' }],
    ['linux/i386', { os: 'linux', architecture: '386' }],
    ['macos/arm64', { os: 'darwin', architecture: 'arm64' }],
  ])('is read from %s', (text, platform) => {
    expect(parsePlatform(text)).toEqual(platform)
  })

  it.each([
    '',
    'linux',
    'amd64',
    '/',
    'linux/',
    '/amd64',
    'linux//v8',
    'linux/amd64/v1/x',
    'a b/c',
    'l/a\n',
  ])('is not read from %j', (text) => {
    expect(failureOf(() => parsePlatform(text)).kind).toBe('requestInvalid')
  })

  it('comes back from its own text', () => {
    const part = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/)
    const texts = fc.tuple(part, part, fc.option(part, { nil: undefined }))
    fc.assert(
      fc.property(texts, (parts) => {
        const platform = parsePlatform(parts.filter((one) => one !== undefined).join('/'))

        expect(parsePlatform(formatPlatform(platform))).toEqual(platform)
        expect(matchesPlatform(platform, platform)).toBe(true)
      }),
    )
  })

  it.each([
    ['linux/arm64', 'linux/arm64/v8', true],
    ['linux/arm', 'linux/arm/v7', true],
    ['linux/amd64', 'linux/amd64/v1', true],
    ['linux/x86_64', 'linux/amd64', true],
    ['linux/aarch64', 'linux/arm64/8', true],
    ['linux/armhf', 'linux/arm', true],
    ['linux/arm', 'linux/arm/v6', false],
    ['linux/armel', 'linux/armhf', false],
    ['linux/arm64', 'linux/arm64/v9', false],
    ['linux/amd64', 'linux/amd64/v3', false],
    ['linux/arm64', 'linux/arm', false],
    ['linux/amd64', 'windows/amd64', false],
    ['linux/amd64', 'unknown/unknown', false],
  ])('%s is wanted, %s is there: %s', (wanted, have, matches) => {
    expect(matchesPlatform(parsePlatform(wanted), parsePlatform(have))).toBe(matches)
    expect(matchesPlatform(parsePlatform(have), parsePlatform(wanted))).toBe(matches)
  })

  it('is normalised when it was read from a manifest as well', () => {
    const have = { os: 'Linux', architecture: 'aarch64', variant: '' }

    expect(matchesPlatform(parsePlatform('linux/arm64/v8'), have)).toBe(true)
  })

  it('compares the version of Windows only when one is asked for', () => {
    const have = { os: 'windows', architecture: 'amd64', osVersion: '10.0.17763.1' }

    expect(matchesPlatform({ os: 'windows', architecture: 'amd64' }, have)).toBe(true)
    expect(matchesPlatform({ ...have, osVersion: '10.0.20348.1' }, have)).toBe(false)
  })
})
