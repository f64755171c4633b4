/** What is said of outages: once at their beginning and once at their end, whatever fails meanwhile. */
import { expect, test } from 'vitest'
import type { StorePart } from '../../../src/ports/outages.ts'
import { StoreOutages } from '../../../src/store/reach.ts'
import { ManualClock } from '../../helpers/manual-clock.ts'

const REFUSED = new Error('it cannot be reached; check that it runs')

function follow(part: StorePart) {
  const clock = new ManualClock()
  const said: string[] = []
  let failures = 0
  const outages = new StoreOutages({
    clock,
    events: {
      storeFailed: () => {
        failures += 1
      },
      storeAway: ({ since, message, fails }) =>
        said.push(`away since ${since}: ${message}${fails === 'all' ? '' : ` (${fails})`}`),
      storeBack: ({ seconds, untriedSeconds }) =>
        said.push(
          `back after ${seconds} s${untriedSeconds === undefined ? '' : `, untried for ${untriedSeconds} s`}`,
        ),
    },
  })
  const reach = outages.add(part, 'somewhere')
  const look = { works: false }
  reach.lookBy(async () => {
    if (!look.works) throw REFUSED
  })
  return { clock, said, outages, reach, look, failures: () => failures }
}

const AWAY = `away since 0: ${REFUSED.message}`

test('an outage is said once at its beginning and once at its end, whatever fails meanwhile', async () => {
  const { clock, said, outages, reach, look, failures } = follow('blobs')
  for (let i = 0; i < 100; i += 1) reach.failed(REFUSED)
  await clock.pass(60_000)
  expect(said).toEqual([AWAY])
  expect(failures()).toBe(100)
  expect(outages.list()).toMatchObject([{ part: 'blobs', where: 'somewhere', since: 0 }])

  look.works = true
  await clock.pass(10_000)
  expect(said).toEqual([AWAY, 'back after 61 s'])
  expect(outages.list()).toEqual([])
})

test('a storm in which some questions are answered is one outage', async () => {
  const { clock, said, reach, look } = follow('blobs')
  look.works = true
  for (let i = 0; i < 30; i += 1) {
    reach.failed(REFUSED)
    reach.answered()
    await clock.pass(1_000)
  }
  expect(said).toEqual([AWAY])

  await clock.pass(10_000)
  expect(said).toHaveLength(2)
})

test('a connection that breaks and is back at once is no outage of PostgreSQL', async () => {
  const { clock, said, outages, reach, failures } = follow('catalog')
  reach.failed(REFUSED)
  reach.answered()
  await clock.pass(60_000)
  expect(said).toEqual([])
  expect(outages.list()).toEqual([])
  expect(failures()).toBe(1)

  reach.failed(REFUSED)
  await clock.pass(1_000)
  expect(said).toEqual([`away since 60000: ${REFUSED.message}`])
})

test('what nobody asks for is looked at, and found away all the same', async () => {
  const { clock, said, outages, look } = follow('blobs')
  look.works = true
  outages.watch()
  await clock.pass(60_000)
  expect(said).toEqual([])

  look.works = false
  await clock.pass(15_000)
  expect(said).toEqual([`away since 75000: ${REFUSED.message}`])
})

test('nothing is said of what fails because it was closed', async () => {
  const { clock, said, outages, reach } = follow('blobs')
  outages[Symbol.dispose]()
  reach.failed(REFUSED)
  await clock.pass(10_000)
  expect(said).toEqual([])
})

const HALF = `away since 0: ${REFUSED.message} (writes)`

test('a store that can be read and takes nothing is away once, by words of its own, until something is written', async () => {
  const { clock, said, outages, reach, look } = follow('blobs')
  look.works = true
  for (let i = 0; i < 12; i += 1) {
    reach.failed(REFUSED, 'writes')
    reach.answered('reads')
    expect(outages.list()).toMatchObject([{ fails: 'writes' }])
    await clock.pass(10_000)
  }
  expect(said).toEqual([HALF])

  reach.answered('writes')
  await clock.pass(10_000)
  expect(said).toEqual([HALF, 'back after 120 s'])
})

test('where nobody writes any more it is back after a while, which is longer each time that this was wrong', async () => {
  const { clock, said, reach, look } = follow('blobs')
  look.works = true
  const quiet = async () => {
    const before = said.length
    reach.failed(REFUSED, 'writes')
    const began = clock.monotonic()
    while (said.length < before + 2) await clock.pass(1_000)
    return clock.monotonic() - began
  }
  expect(await quiet()).toBe(35_000)
  expect(said.at(-1)).toBe('back after 35 s, untried for 35 s')
  expect(await quiet()).toBe(70_000)
  expect(await quiet()).toBe(140_000)

  reach.answered('writes')
  expect(await quiet()).toBe(35_000)
})

test('half an outage that becomes a whole one is said once more', async () => {
  const { clock, said, reach, look } = follow('blobs')
  look.works = true
  reach.failed(REFUSED, 'writes')
  await clock.pass(5_000)
  look.works = false
  await clock.pass(5_000)
  look.works = true
  await clock.pass(60_000)
  expect(said).toEqual([HALF, AWAY, expect.stringMatching(/^back after/)])
})

test('reads that fail beside looks that work are an outage of some of it, for as long as none works', async () => {
  const { clock, said, reach, look } = follow('blobs')
  look.works = true
  for (let i = 0; i < 6; i += 1) {
    reach.failed(REFUSED, 'reads')
    await clock.pass(8_000)
  }
  expect(said).toEqual([`away since 0: ${REFUSED.message} (some)`])
})
