/** Who waits for work, directly and through other work. */
import { expect, test } from 'vitest'
import { Interest } from '../../../src/lib/interest.ts'
import { TestWaiter } from '../../helpers/waiters.ts'

let now = 0
const interest = () => new Interest(() => now)

test('work is wanted while somebody waits, and knows since when nobody does', () => {
  now = 100
  const work = interest()
  expect([work.isWanted, work.awaySince]).toEqual([false, 100])
  const [a, b] = [new TestWaiter('a'), new TestWaiter('b')]
  work.add(a)
  work.add(a)
  work.add(b)
  a.leave()
  expect([work.isWanted, work.awaySince]).toEqual([true, undefined])
  now = 200
  b.leave()
  expect([work.isWanted, work.awaySince]).toEqual([false, 200])
})

test('who left before they were added is not waited for', () => {
  const gone = new TestWaiter('a')
  gone.leave()
  const work = interest()
  work.add(gone)
  expect(work.isWanted).toBe(false)
})

test('work below is wanted while any work above is, also by those who come later', () => {
  const [image, other, layer, download] = [interest(), interest(), interest(), interest()]
  layer.add(image)
  layer.add(other)
  download.add(layer)
  const [first, second] = [new TestWaiter('a'), new TestWaiter('b')]
  image.add(first)
  other.add(second)
  expect(download.isWanted).toBe(true)
  first.leave()
  expect(download.isWanted).toBe(true)
  second.leave()
  expect(download.isWanted).toBe(false)
  image.add(new TestWaiter('a'))
  expect(download.isWanted).toBe(true)
  image.end()
  expect(download.isWanted).toBe(false)
})

test('each client is told once, whenever it comes and through whatever', () => {
  const [image, layer] = [interest(), interest()]
  image.add(new TestWaiter('a'))
  layer.add(image)
  const heard: (string | undefined)[] = []
  layer.onClient((client) => heard.push(client))
  image.add(new TestWaiter('a'))
  image.add(new TestWaiter('b'))
  expect(heard).toEqual(['a', 'b'])
})

test('where nobody waits yet, nobody in particular is told', () => {
  const heard: (string | undefined)[] = []
  interest().onClient((client) => heard.push(client))
  expect(heard).toEqual([undefined])
})

test('work is forsaken when the last waiter has left and no work above is left', () => {
  const [image, layer] = [interest(), interest()]
  const waiter = new TestWaiter('a')
  layer.add(image)
  layer.add(waiter)
  let isForsaken = false
  layer.onForsaken(() => {
    isForsaken = true
  })
  waiter.leave()
  expect(isForsaken).toBe(false)
  image.end()
  expect(isForsaken).toBe(true)
})
