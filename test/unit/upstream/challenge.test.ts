import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseChallenges } from '../../../src/upstream/challenge.ts'

const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,11}$/)
const text = fc.string({ maxLength: 40, unit: fc.constantFrom(...'ab c,="\\/:?&.-') })

describe('parseChallenges', () => {
  test('reads back whatever was quoted, with several challenges in one header', () => {
    const params = fc.dictionary(
      token.map((name) => name.toLowerCase()),
      text,
      {
        maxKeys: 5,
        noNullPrototype: true,
      },
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(token, params), { maxLength: 4 }), (challenges) => {
        const header = challenges
          .map(([scheme, values]) => {
            const pairs = Object.entries(values).map(
              ([name, value]) => `${name}="${value.replace(/["\\]/g, '\\$&')}"`,
            )
            return `${scheme} ${pairs.join(',')}`.trim()
          })
          .join(', ')

        const found = parseChallenges(header)

        expect(found.map(({ scheme }) => scheme)).toEqual(
          challenges.map(([scheme]) => scheme.toLowerCase()),
        )
        found.forEach(({ params: read }, index) => {
          expect(Object.fromEntries(read)).toEqual(challenges[index]?.[1])
        })
      }),
    )
  })

  test('reads what registries send', () => {
    const header =
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"'

    const [challenge] = parseChallenges(header)

    expect(challenge?.scheme).toBe('bearer')
    expect(challenge?.params.get('realm')).toBe('https://auth.docker.io/token')
    expect(challenge?.params.get('scope')).toBe('repository:library/alpine:pull')
  })

  test('passes over a token68 in front of other challenges', () => {
    const found = parseChallenges('Negotiate dGVzdA==, Basic realm=simple')

    expect(found.map(({ scheme }) => scheme)).toEqual(['negotiate', 'basic'])
    expect(found[1]?.params.get('realm')).toBe('simple')
  })

  test.each([
    ['an open quote', 'Bearer realm="http://x'],
    ['a parameter twice', 'Bearer realm="https://good",realm="https://evil"'],
    ['the same in another case', 'Bearer realm="https://good",Realm="https://evil"'],
    ['text right behind a quote', 'Bearer realm="a"b'],
    ['a value without a name', 'Bearer ="x"'],
    ['an escape at the end', 'Bearer realm="http://,,,=="" \\'],
    ['1,000 parameters', `Bearer ${Array.from({ length: 1000 }, (_, i) => `p${i}=1`).join(',')}`],
    ['64 KiB', `Bearer realm="${'x'.repeat(65_536)}"`],
  ])('refuses %s', (_, header) => {
    expect(parseChallenges(header)).toEqual([])
  })

  test('takes no time over anything, and never throws', () => {
    const noise = fc.string({
      unit: fc.constantFrom(...'Bearer =",\\\t ;x\u0000é'),
      maxLength: 8_192,
    })
    fc.assert(
      fc.property(noise, (header) => {
        const began = performance.now()
        parseChallenges(header)
        expect(performance.now() - began).toBeLessThan(100)
      }),
    )
  })
})
