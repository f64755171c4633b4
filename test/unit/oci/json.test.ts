import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findStrings, readJson } from '../../../src/oci/json.ts'
import { fold } from '../../../src/oci/key-case.ts'
import { failureOf, utf8 } from '../../helpers/manifest-documents.ts'

const RULES = { what: 'document', maxBytes: 8 * 1024 * 1024, rewritten: true }
const read = (input: string | Uint8Array, rules = RULES) =>
  readJson(typeof input === 'string' ? utf8(input) : input, rules)

/** Milliseconds; a generous bound catches the quadratic and exponential, not the slow machine. */
function timed(run: () => void): number {
  const began = performance.now()
  run()
  return performance.now() - began
}

const ok = (text: string) => [text.length > 60 ? `${text.slice(0, 60)}...` : text, text] as const

describe('the strict JSON reader', () => {
  it('reads any object as JSON.parse does', () => {
    const text = fc.string({ unit: 'grapheme' })
    const plain = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.constant(null),
        fc.boolean(),
        fc.maxSafeInteger(),
        text,
        fc.array(tie('value')),
        fc.dictionary(text, tie('value')),
      ),
    }))
    fc.assert(
      fc.property(fc.dictionary(text, plain.value), fc.nat(4), (object, indent) => {
        const written = JSON.stringify(object, null, indent)

        expect(read(written)).toEqual(JSON.parse(written))
      }),
    )
  })

  it('refuses or agrees with JSON.parse on any text', () => {
    const token = fc.constantFrom(
      ...['{', '}', '[', ']', ':', ',', '"a"', '"b"', '"\\u0061"', '"\\\\"', '"\\"', '1', '-0'],
      ...['true', 'null', ' ', '\n', '1e3', '0.5', '\u0000', '"'],
    )
    const near = fc.array(token, { maxLength: 12 }).map((tokens) => `{"k":${tokens.join('')}}`)
    fc.assert(
      fc.property(near, (text) => {
        let value: unknown
        const { kind } = failureOf(() => {
          value = read(text)
        })

        if (kind === 'none') expect(value).toEqual(JSON.parse(text))
        else expect(kind).toBe('badManifest')
      }),
      { numRuns: 2000 },
    )
  })

  it.each([
    ['an object in 65 lists and objects', `{"a":${'['.repeat(64)}${']'.repeat(64)}}`, 'json-depth'],
    ['two million open lists', '['.repeat(2_000_000), 'json-depth'],
    ['two million open objects', '{"a":'.repeat(400_000), 'json-depth'],
    ['a key twice', '{"layers":[1],"layers":[]}', 'json-duplicate-key'],
    ['a key twice, far down', '{"a":[{"b":{"x":1,"y":2,"x":3}}]}', 'json-duplicate-key'],
    ['a key twice, once escaped', '{"layers":1,"\\u006cayers":2}', 'json-duplicate-key'],
    ['__proto__ twice', '{"__proto__":1,"__proto__":2}', 'json-duplicate-key'],
    ['the empty key twice', '{"":1,"":2}', 'json-duplicate-key'],
    ['a byte order mark', '\ufeff{}', 'bom'],
    ['half a surrogate pair', '{"a":"\\ud800"}', 'json-surrogate'],
    ['half a surrogate pair before a letter', '{"a":"\\uDBFFx"}', 'json-surrogate'],
    ['the other half alone', '{"a":"\\udc00"}', 'json-surrogate'],
    ['half a surrogate pair in a key', '{"\\ud800":1}', 'json-surrogate'],
    ['NUL after the value', '{}\u0000', 'json'],
    ['NUL in a string', '{"a":"\u0000"}', 'json'],
    ['bytes after the value', '{} x', 'json'],
    ['two documents', '{}{}', 'json'],
    ['a line comment', '{} // x', 'json'],
    ['a block comment', '{/* x */}', 'json'],
    ['NaN', '{"a":NaN}', 'json'],
    ['Infinity', '{"a":-Infinity}', 'json-number'],
    ['a trailing comma', '{"a":1,}', 'json'],
    ['single quotes', "{'a':1}", 'json'],
    ['nothing', '', 'json'],
    ['white space', ' \n', 'json'],
    ['HTML', '<html></html>', 'json'],
    ['an unfinished string', '{"a":"b', 'json'],
    ['an unfinished escape', '{"a":"b\\', 'json'],
    ['a bad escape in a key', '{"\\x":1}', 'json'],
    ['null', 'null', 'json'],
    ['a list', '[]', 'json'],
    ['a number', '1', 'json'],
    ['a string', '"{}"', 'json'],
    ['2^53 + 1', '{"a":9007199254740993}', 'json-number'],
    ['2^63', '{"a":9223372036854775808}', 'json-number'],
    ['1e400', '{"a":1e400}', 'json-number'],
    ['1e3', '{"a":1e3}', 'json-number'],
    ['-0', '{"a":-0}', 'json-number'],
    ['00', '{"a":00}', 'json-number'],
    ['1.0', '{"a":1.0}', 'json-number'],
    ['a huge exponent', `{"a":1e${'9'.repeat(1000)}}`, 'json-number'],
    ['20,001 keys', `{${Array.from({ length: 20_001 }, (_, i) => `"${i}":0`)}}`, 'json-keys'],
    ['a million numbers', JSON.stringify({ a: Array(1_000_000).fill(1) }), 'json-values'],
    ['a million lists', JSON.stringify({ a: Array(1_000_000).fill([]) }), 'json-values'],
    ['300,000 keys like integers', keysThatCollide(300_000), 'json-keys'],
  ])('refuses %s', (_, text, reason) => {
    const elapsed = timed(() =>
      expect(failureOf(() => read(text))).toEqual({ kind: 'badManifest', reason }),
    )

    expect(elapsed).toBeLessThan(500)
  })

  it.each([
    ['a lone continuation byte', [0x7b, 0x22, 0x80, 0x22, 0x7d]],
    ['an overlong slash', [0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x7d]],
    ['a surrogate in UTF-8', [0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x7d]],
    ['UTF-16 with its mark', [0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]],
  ])('refuses %s', (_, bytes) => {
    expect(failureOf(() => read(Uint8Array.from(bytes))).reason).toBe('utf-8')
  })

  it('refuses UTF-16 without a mark', () => {
    expect(failureOf(() => read(Uint8Array.from([0x7b, 0, 0x7d, 0]))).reason).toBe('json')
  })

  it('refuses one byte too much before it looks at any', () => {
    const rules = { ...RULES, maxBytes: 4 }

    expect(failureOf(() => read('{}  ', rules)).kind).toBe('none')
    expect(failureOf(() => read('{}   ', rules))).toEqual({ kind: 'badSize', reason: 'too-large' })
  })

  it.each([
    ok('{}'),
    ok(' {"a" : [ ] }\n'),
    ok(`{"a":${'['.repeat(63)}${']'.repeat(63)}}`),
    ok(`{${Array.from({ length: 20_000 }, (_, i) => `"${i}":0`)}}`),
    ok('{"a":{"x":1},"b":{"x":2},"c":[{"x":3},{"x":4}]}'),
    ok('{"a":"\\ud83d\\ude00","b":"\\\\ud800","c":"\\u0000"}'),
    ok('{"a":"}]\\"{[,:","b":"\\\\"}'),
    ok('{"a":0.5,"b":-1,"c":9007199254740991,"d":-9007199254740991}'),
    ok('{"Layers":1,"layers":2}'),
    ok(JSON.stringify({ a: 'x'.repeat(4 * 1024 * 1024) })),
    ok(JSON.stringify({ a: '\\"'.repeat(512 * 1024) })),
    ok(JSON.stringify({ a: Array(199_999).fill(1) })),
    ok(JSON.stringify({ a: Array(99_999).fill([]) })),
    ok(JSON.stringify({ a: Array(150_000).fill('\\u') })),
    ok(keysThatCollide(20_000)),
  ])('reads %s', (_, text) => {
    const elapsed = timed(() => expect(Object.keys(read(text)).length).toBeLessThan(20_001))

    expect(elapsed).toBeLessThan(2000)
    expect(JSON.stringify(read(text))).toBe(JSON.stringify(JSON.parse(text)))
  })

  it('changes no prototype', () => {
    const object = read('{"__proto__":{"polluted":true},"constructor":1,"hasOwnProperty":2}')

    expect(Object.getPrototypeOf(object)).toBe(Object.prototype)
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    expect(Object.keys(object)).toEqual(['__proto__', 'constructor', 'hasOwnProperty'])
  })

  it('takes any number of a document that is not written again', () => {
    const rules = { ...RULES, rewritten: false }

    expect(read('{"a":1.0,"b":1e3,"c":9223372036854775807}', rules)).toMatchObject({
      a: 1,
      b: 1000,
    })
    expect(failureOf(() => read('{"a":01}', rules)).reason).toBe('json')
  })
})

describe('findStrings', () => {
  const find = (text: string) =>
    findStrings(text, ['a', 'b'], fold, RULES).map(({ start, end }) => text.slice(start, end))

  it.each([
    ['{"a":{"b":["x","y"]}}', ['"x"', '"y"']],
    ['{"a":{"\\u0062":["x"]}}', ['"x"']],
    ['{"A":{"B":["x"]}}', ['"x"']],
    ['{"b":["n"],"a":{"c":["n"],"b":["x"],"d":{"b":["n"]}}}', ['"x"']],
    ['{"a":{"b":[["n"],{"b":"n"},"x"]}}', ['"x"']],
    ['{"a":[{"b":["n"]}]}', []],
    ['{"a":{"b":"n"}}', []],
    ['{"a":{"b":{"b":"n"}}}', []],
    ['{"a":{"b":[]}}', []],
  ])('finds the strings of a.b in %s', (text, strings) => {
    expect(find(text)).toEqual(strings)
  })
})

/** Strings that V8 hashes by their value as an array index: multiples of a power of two share buckets. */
function keysThatCollide(count: number): string {
  return `{${Array.from({ length: count }, (_, i) => `"${(i * 8192) % 4_294_967_294}":0`).join(',')}}`
}
