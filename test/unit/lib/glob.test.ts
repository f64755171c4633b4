import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileGlob } from '../../../src/lib/glob.ts'

/** What a glob means, as a regular expression says it: right, but slow for the wrong text. */
function asPattern(glob: string): RegExp {
  const source = glob
    .split(/(\*\*|\*)/)
    .map((part) =>
      part === '**' ? '.*' : part === '*' ? '[^/]*' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'),
    )
    .join('')
  return new RegExp(`^${source}$`)
}

describe('a glob', () => {
  it.each([
    ['docker.io/library/*', 'docker.io/library/alpine', true],
    ['docker.io/library/*', 'docker.io/library/a/b', false],
    ['docker.io/library/*', 'docker.io/library/', true],
    ['docker.io/**', 'docker.io/a/b/c', true],
    ['**/alpine', 'docker.io/library/alpine', true],
    ['**', '', true],
    ['*/*', 'a/b/c', false],
    ['a?c', 'abc', false],
    ['a', 'ab', false],
  ])('%s on %s is %s', (glob, text, expected) => {
    expect(compileGlob(glob).test(text)).toBe(expected)
  })

  it('means what its regular expression means', () => {
    const of = (...parts: string[]) =>
      fc.array(fc.constantFrom(...parts), { maxLength: 9 }).map((all) => all.join(''))
    fc.assert(
      fc.property(of('*', '**', 'a', 'b', '/', '-'), of('a', 'b', '/', '-'), (glob, text) => {
        expect(compileGlob(glob).test(text)).toBe(asPattern(glob).test(text))
      }),
      { numRuns: 3000 },
    )
  })

  it('takes no longer for a name that was made to take long', () => {
    const name = `docker.io/${'a-'.repeat(200)}`
    const glob = compileGlob(`docker.io/${'*-'.repeat(10)}x`)
    const began = performance.now()
    for (let i = 0; i < 20; i += 1) expect(glob.test(name)).toBe(false)
    expect(performance.now() - began).toBeLessThan(500)
  })
})
