/** The thread that checks passwords: when it dies, who waits is told, and the next check gets another one. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createBcrypt, pacedAmong } from '../../../src/access/bcrypt.ts'

/** A worker that does this with the first message and answers `true` to those after it in a new thread. */
function workerThat(does: string): URL {
  const script = `
    import { parentPort } from 'node:worker_threads'
    parentPort.on('message', ({ id, password }) => {
      if (password === 'deadly') { ${does} }
      parentPort.postMessage({ id, isRight: true })
    })`
  return new URL(`data:text/javascript,${encodeURIComponent(script)}`)
}

test.each([
  ['ends', 'process.exit(0)'],
  ['throws', 'throw new Error("broken")'],
])('a thread that %s fails its checks, and the next one starts another', async (_, does) => {
  const compare = createBcrypt(workerThat(does))
  expect(await compare('fine', 'hash')).toBe(true)
  const waiting = ['deadly', 'behind it'].map((password) => compare(password, 'hash'))
  const ends = await Promise.allSettled(waiting)
  expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await compare('fine', 'hash')).toBe(true)
})

test('a wrong password takes one of several processes as long as if all shared a thread', async () => {
  const took = async (answer: boolean, workers: number) => {
    const compare = pacedAmong(workers, async () => {
      await sleep(20)
      return answer
    })
    const began = performance.now()
    expect(await compare('password', 'hash')).toBe(answer)
    return performance.now() - began
  }

  expect(await took(false, 5)).toBeGreaterThanOrEqual(95)
  expect(await took(true, 5)).toBeLessThan(95)
})
