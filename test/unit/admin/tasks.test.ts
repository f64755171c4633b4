/** Work that was told to be done: followed, awaited, bounded. */
import { describe, expect, it } from 'vitest'
import { Tasks } from '../../../src/admin/tasks.ts'
import { CrossdockError } from '../../../src/errors.ts'

const clock = {
  now: () => 1_000,
  monotonic: () => 0,
  sleep: (_: number, signal?: AbortSignal) =>
    new Promise<void>((_, reject) =>
      signal?.addEventListener('abort', () => reject(signal.reason)),
    ),
}
const never = new AbortController().signal

describe('tasks', () => {
  it('tell how far they are, and what came of them', async () => {
    const tasks = new Tasks(clock)
    const go = Promise.withResolvers<string>()
    const id = tasks.start('verify', 'the store', async (tell) => {
      tell({ bytes: 5, total: 10 })
      return await go.promise
    })
    await Promise.resolve()
    expect(tasks.find(id)).toMatchObject({ state: 'running', progress: { bytes: 5, total: 10 } })

    go.resolve('sound')
    expect(await tasks.wait(id, 1, never)).toMatchObject({ state: 'done', result: 'sound' })
    expect(tasks.list()).toEqual([expect.not.objectContaining({ result: 'sound' })])
  })

  it('keep the code and the words of a failure', async () => {
    const tasks = new Tasks(clock)
    const failure = new CrossdockError('manifestUnknown', 'x is not in the store')
    const id = tasks.start('verify', 'x', () => Promise.reject(failure))

    expect(await tasks.wait(id, 1, never)).toMatchObject({
      state: 'failed',
      error: { code: 'MANIFEST_UNKNOWN', message: 'x is not in the store' },
    })
  })

  it('are eight at a time, and fifty are remembered', async () => {
    const tasks = new Tasks(clock)
    const go = Promise.withResolvers<void>()
    const running = Array.from({ length: 8 }, () => tasks.start('gc', 'store', () => go.promise))
    expect(() => tasks.start('gc', 'store', () => go.promise)).toThrow('8 actions are under way')
    go.resolve()
    for (const id of running) await tasks.wait(id, 1, never)

    for (let i = 0; i < 60; i += 1) {
      await tasks.wait(
        tasks.start('gc', 'store', async () => i),
        1,
        never,
      )
    }
    expect(tasks.list()).toHaveLength(50)
  })
})
