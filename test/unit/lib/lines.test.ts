import { expect, test } from 'vitest'
import { type LineStream, Lines } from '../../../src/lib/lines.ts'

/** Takes lines when told, or fails them. */
class Pipe implements LineStream {
  writableLength = 0
  readonly written: string[] = []
  readonly #waiting: { readonly size: number; done(error?: Error): void }[] = []

  write(line: string, done: (error?: Error) => void): void {
    this.written.push(line)
    this.writableLength += line.length
    this.#waiting.push({ size: line.length, done })
  }

  take(count: number, error?: Error): void {
    for (const { size, done } of this.#waiting.splice(0, count)) {
      this.writableLength -= size
      done(error)
    }
  }
}

test('what waits for a stuck reader never grows beyond the bound', () => {
  const pipe = new Pipe()
  const lines = new Lines(pipe, 100)
  for (let i = 0; i < 1000; i += 1) lines.write('0123456789')

  expect(pipe.writableLength).toBe(100)
  expect(lines.lost).toBe(990)
})

test('the loss is told once, when there is room for the news', () => {
  const pipe = new Pipe()
  const lines = new Lines(pipe, 100)
  const told: number[] = []
  lines.onTakenAgain((lost) => {
    told.push(lost)
    lines.write('news')
  })
  for (let i = 0; i < 15; i += 1) lines.write('0123456789')

  pipe.take(4)
  expect(told).toEqual([])
  pipe.take(1)
  expect(told).toEqual([5])
  pipe.take(100)
  expect(told).toEqual([5])
  expect(pipe.written.at(-1)).toBe('news')
})

test('lines that fail count as lost, and the next reader hears of them', () => {
  const pipe = new Pipe()
  const lines = new Lines(pipe, 100)
  const told: number[] = []
  lines.onTakenAgain((lost) => told.push(lost))
  for (let i = 0; i < 3; i += 1) lines.write('line')
  pipe.take(3, new Error('EPIPE'))
  expect([lines.lost, told]).toEqual([3, []])

  lines.write('line')
  pipe.take(1)
  expect(told).toEqual([3])
})
