import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { analyse } from '../../../../src/codec/restore/analyse.ts'
import { RestoreThreads } from '../../../../src/codec/restore/threads.ts'
import { collect } from '../../../../src/lib/streams.ts'
import { chunked, seededText } from '../../../helpers/bytes.ts'

const text = seededText(40_000, 'threads')
const packed = gzipSync(text)
const LIMIT = 1024 * 1024

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield packed
}

describe('threads that restore', () => {
  it('answer as the functions do, several jobs on one thread', async () => {
    await using threads = new RestoreThreads(1)
    const open = () => chunked(packed, [5000])

    const [one, other] = await Promise.all([threads.analyse(open), threads.analyse(open)])

    expect(one).toEqual(await analyse(open))
    expect(other).toEqual(one)
    if (one.kind === 'carry') throw new Error(one.why)
    const again = await collect(threads.rebuild(chunked(text, [900]), one.corrections), LIMIT)
    expect(Buffer.compare(again, packed)).toBe(0)
    const carried = await threads.analyse(() => chunked(text, [5000]))
    expect(carried.kind).toBe('carry')
  })

  it('pass on what fails: corrections, the source, and the signal', async () => {
    await using threads = new RestoreThreads(1)
    const abort = new AbortController()
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield packed.subarray(0, 100)
      throw new Error('the disk is gone')
    }
    const stopped = async function* (): AsyncGenerator<Uint8Array> {
      yield packed.subarray(0, 100)
      abort.abort(new Error('enough'))
      await new Promise(() => undefined)
    }

    await expect(
      collect(threads.rebuild(chunked(text, [900]), Buffer.from('nothing')), LIMIT),
    ).rejects.toMatchObject({ kind: 'badManifest', reason: 'corrections-damaged' })
    await expect(threads.analyse(failing)).rejects.toThrow('the disk is gone')
    await expect(threads.analyse(stopped, { signal: abort.signal })).rejects.toThrow('enough')
  })

  it('end a job that nobody reads any more, and go on with the next', async () => {
    await using threads = new RestoreThreads(1)
    const analysis = await threads.analyse(() => chunked(packed, [5000]))
    if (analysis.kind === 'carry') throw new Error(analysis.why)

    for await (const _ of threads.rebuild(chunked(text, [900]), analysis.corrections)) break
    const next = await threads.analyse(() => chunked(packed, [5000]))

    expect(next).toEqual(analysis)
  })

  it('stop waiting for a turn when they are told to', async () => {
    await using threads = new RestoreThreads(1)
    const first = new AbortController()
    const second = new AbortController()
    const running = threads.analyse(endless, { signal: first.signal })
    const waiting = threads.analyse(endless, { signal: second.signal })

    second.abort(new Error('not any more'))
    await expect(waiting).rejects.toThrow('not any more')
    first.abort(new Error('nor this'))
    await expect(running).rejects.toThrow('nor this')
  })
})
