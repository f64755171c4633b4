import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { sortTexts } from '../../../src/lib/sort-texts.ts'

it('sorts like sort(), however many there are', async () => {
  for (const length of [0, 1, 4096, 4097, 13_000]) {
    const texts = Array.from({ length }, (_, i) => `${(i * 7919) % 10_007}\u00ff`)

    expect(await sortTexts(texts)).toEqual(texts.toSorted())
  }
})

it('leaves the event loop to others', async () => {
  const sorted = sortTexts(Array.from({ length: 20_000 }, (_, i) => `${-i}`)).then(() => 'sorted')

  expect(await Promise.race([sorted, setImmediate('a turn')])).toBe('a turn')
})
