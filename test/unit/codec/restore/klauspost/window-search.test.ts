import fc from 'fast-check'
import { expect, test } from 'vitest'
import { WindowSearch } from '../../../../../src/codec/restore/klauspost/window-search.ts'
import { seededText } from '../../../../helpers/bytes.ts'
import { PlainWindowSearch } from '../../../../helpers/plain-window-search.ts'

const search = new WindowSearch()
const plain = new PlainWindowSearch()

type Search = Pick<
  WindowSearch,
  'forget' | 'begin' | 'find' | 'take' | 'pass' | 'position' | 'length' | 'distance'
>

/** Matches of windows, one after the other; of some, by `dice`, another length counts than the one that was found, or none. */
function matchesOf(
  by: Search,
  windows: readonly Uint8Array[],
  dice: readonly number[],
): number[][] {
  const matches: number[][] = []
  by.forget()
  for (const window of windows) {
    by.begin(window)
    while (by.find()) {
      const { position, length, distance } = by
      matches.push([position, length, distance])
      const die = dice[matches.length % dice.length] ?? 0
      if (die === 1) by.pass(position + 1)
      else by.take(position, die === 2 ? Math.ceil(length / 2) : length)
    }
  }
  return matches
}

const windows = fc.array(
  fc.oneof(
    fc.uint8Array({ max: 3, maxLength: 4000, size: 'max' }),
    fc.uint8Array({ maxLength: 2000, size: 'max' }),
    fc.nat(40_000).map((size) => new Uint8Array(size)),
    fc
      .tuple(fc.uint8Array({ minLength: 1, maxLength: 300, size: 'max' }), fc.nat(200))
      .map(([piece, times]) =>
        Uint8Array.from({ length: piece.length * times }, (_, at) => piece[at % piece.length] ?? 0),
      ),
  ),
  { maxLength: 5 },
)

test('the search finds what plain loops find', () => {
  fc.assert(
    fc.property(windows, (given) => {
      expect(matchesOf(search, given, [0])).toEqual(matchesOf(plain, given, [0]))
    }),
    { numRuns: 25 },
  )
})

test('the same where other matches count, or none', () => {
  fc.assert(
    fc.property(windows, fc.array(fc.nat(2), { minLength: 1 }), (given, dice) => {
      expect(matchesOf(search, given, dice)).toEqual(matchesOf(plain, given, dice))
    }),
    { numRuns: 25 },
  )
})

test('the same after a gigabyte, where places are counted from anew', () => {
  const fresh = new WindowSearch()
  const given = [1, 2, 3, 1].map((seed) => seededText(40_000, `long ${seed}`))
  // Each time the tables take everything for 32 KiB older, at least; the last few windows cross the border.
  const times = Math.floor((2 ** 30 - 2 ** 17) / 2 ** 15)
  for (let time = 0; time < times; time += 1) fresh.forget()
  for (let time = 0; time < 3; time += 1) {
    expect(matchesOf(fresh, given, [0])).toEqual(matchesOf(plain, given, [0]))
  }
})

test('a match reaches back 32767 bytes and no farther', () => {
  const piece = Uint8Array.from({ length: 64 }, (_, at) => (at * 37 + 11) & 0xff)
  const noise = (size: number) =>
    Uint8Array.from({ length: size }, (_, at) => (Math.imul(at + 1, 0x9e3779b1) >>> 13) & 0xff)
  const found = [32767, 32768].map((distance) => {
    const window = new Uint8Array(40_000)
    window.set(noise(40_000))
    window.set(piece, 0)
    window.set(piece, distance)
    return matchesOf(search, [window], [0]).filter(([, , reach]) => reach === distance).length
  })
  expect(found).toEqual([1, 0])
})
