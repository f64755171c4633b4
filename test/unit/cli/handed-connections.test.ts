/** What is sent to a worker, and what is kept from it. */
import { EventEmitter } from 'node:events'
import type { Worker } from 'node:cluster'
import { expect, test, vi } from 'vitest'
import { Dealing } from '../../../src/cli/handed-connections.ts'

function dealing() {
  const send = vi.fn((..._all: unknown[]) => true)
  const process = Object.assign(new EventEmitter(), { send })
  const worker = Object.assign(new EventEmitter(), { process })
  const answers: unknown[] = []
  process.on('internalMessage', (message) => answers.push(message))
  const dealt = new Dealing(worker as unknown as Worker)
  const hand = (seq: number) => {
    const handle = { close: vi.fn() }
    process.send({ cmd: 'NODE_CLUSTER', act: 'newconn', key: 'k', seq }, handle)
    return handle
  }
  return { dealt, worker, process, send, answers, hand }
}

test('declines connections in place of a worker that is dealt none, and lets all else through', async () => {
  const { dealt, process, send, answers, hand } = dealing()
  dealt.deal(false)
  hand(7)
  process.send({ kind: 'ping' })

  expect(send.mock.calls).toEqual([[{ kind: 'ping' }]])
  await expect.poll(() => answers).toEqual([{ cmd: 'NODE_CLUSTER', ack: 7, accepted: false }])
  dealt.deal(true)
  hand(8)
  expect(send).toHaveBeenCalledTimes(2)
})

test('ends what is on its way to a worker that dies, and not what was kept from it', () => {
  const { dealt, worker, hand } = dealing()
  const taken = hand(1)
  dealt.deal(false)
  const kept = hand(2)
  worker.emit('exit')

  expect(taken.close).toHaveBeenCalledTimes(1)
  expect(kept.close).not.toHaveBeenCalled()
})
