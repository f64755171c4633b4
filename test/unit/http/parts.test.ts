import { expect, test } from 'vitest'
import { PartAnswers } from '../../../src/http/parts.ts'
import type { ByteStream } from '../../../src/lib/streams.ts'
import type { ByteRange } from '../../../src/ports/blobs.ts'
import { settled } from '../../helpers/tap-upstream.ts'

const KIB = 1024

async function* bytes({ start, end }: ByteRange): ByteStream {
  yield Buffer.alloc(end - start)
}

/** Bytes of parts that are held at once for clients of whom nobody takes anything, after so many answers. */
async function heldFor(workers: number, answers: number): Promise<number> {
  const parts = new PartAnswers(workers)
  let held = 0
  const exchange = {
    hasAnswered: true,
    ...{ begin: () => undefined, writeText: () => undefined, finish: () => undefined },
    stream: async () => undefined,
    write: async (body: ByteStream) => {
      for await (const chunk of body) held += chunk.byteLength
      return await new Promise<boolean>(() => undefined)
    },
  }
  const range = (i: number) => ({ start: i * 8 * KIB, end: (i + 1) * 8 * KIB })
  const ranges = [range(0), ...Array.from({ length: 31 }, (_, i) => range(i + 1))] as const
  for (let i = 0; i < answers; i += 1) {
    void parts.send(exchange, {
      ...{ size: 256 * KIB, ranges, headers: { 'Content-Type': 'a/b' } },
      ...{ open: bytes, atHand: true },
    })
    await settled()
  }
  return held
}

test('what answers of several ranges hold is bounded for all processes of a machine together', async () => {
  const alone = await heldFor(1, 200)
  const fourth = await heldFor(4, 50)

  expect(alone).toBeGreaterThan(16 * KIB * KIB)
  expect(4 * fourth).toBeLessThan(alone * 1.1)
  expect(4 * (await heldFor(1, 50))).toBeGreaterThan(alone * 1.3)
})
