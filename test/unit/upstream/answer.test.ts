/** Bodies that are read whole. */
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { describe, expect, test } from 'vitest'
import { UPSTREAM_BUSY } from '../../../src/errors.ts'
import { Answer } from '../../../src/upstream/answer.ts'
import { OpenBodies } from '../../../src/upstream/open-bodies.ts'

const MIB = 1024 ** 2

/** A response that sends so much and then waits for `end`. */
function answerOf(bytes: number, end: Promise<void>, bodies: OpenBodies): Answer {
  const body = new Readable({ read: () => undefined })
  body.push(Buffer.alloc(bytes))
  void end.then(() => body.push(null))
  const response = { statusCode: 200, headers: {}, body } as unknown as Dispatcher.ResponseData
  return new Answer(new URL('http://registry.example/'), response, false, bodies)
}

describe('documents that stop short of their end', () => {
  test('fill no memory together, and keep no small ones out', async () => {
    const end = Promise.withResolvers<void>()
    const bodies = new OpenBodies()
    const read = (bytes: number) =>
      answerOf(bytes, end.promise, bodies).read({ bytes: 5 * MIB }, 'x')
    const large = Array.from({ length: 40 }, () => read(4 * MIB))
    const settled = Promise.allSettled(large)
    await expect(large.at(-1)).rejects.toThrow(/are being read from upstreams already/)
    const small = Array.from({ length: 40 }, () => read(200_000))
    end.resolve()

    const refused = (await settled).filter((one) => one.status === 'rejected')
    expect(refused).toHaveLength(40 - Math.floor(128 / (4 - 0.25)))
    expect(refused[0]?.reason).toMatchObject({ kind: 'overloaded', reason: UPSTREAM_BUSY })
    expect(await Promise.all(small)).toHaveLength(40)
    expect(await read(4 * MIB)).toHaveLength(4 * MIB)
  })
})
