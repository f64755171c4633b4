/** F14: a disk on which every write and sync takes 200 ms holds up those who write, and nobody else. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { fsck, tempFiles } from '../helpers/faults-fsck.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'
import { isEmbeddedOnly } from '../helpers/pair.ts'

const PROFILES = ['zstd', 'estargz'] as const
const SOURCE = fileURLToPath(new URL('../helpers/slow-disk.c', import.meta.url))

let origin: FakeRegistry
let folder: string

beforeAll(async () => {
  origin = await FakeRegistry.start()
  folder = await mkdtemp(join(tmpdir(), 'crossdock-slow-disk-'))
})

afterAll(async () => {
  await origin?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

test.skipIf(isEmbeddedOnly('it is about a disk'))(
  'conversions on a slow disk end, and what is cached is answered meanwhile',
  async () => {
    const library = join(folder, 'slow-disk.so')
    try {
      execFileSync('gcc', ['-shared', '-fPIC', '-o', library, SOURCE, '-ldl'])
    } catch (error) {
      console.warn(`skipped "a slow disk": there is no gcc here: ${error}`)
      return
    }
    const names = Array.from({ length: 2 }, (_, i) => `slow/cold${i}`)
    for (const name of names) {
      await origin.pushImage(name, '1', { layers: [{ size: 400_000 }, { size: 50_000 }] })
    }
    await origin.pushImage('slow/warm', '1', { layers: [{ size: 300_000 }] })
    const data = join(folder, 'data')
    const since = join(folder, 'slow')
    await using proxy = await TestProxy.start({
      registry: origin,
      data,
      env: { LD_PRELOAD: library, SLOW_DISK: data, SLOW_DISK_SINCE: since },
    })
    await pull(proxy.base, 'slow/warm', '1-zstd')
    // Each look at the metrics begins the measure of the event loop again.
    await proxy.crossdock.metric('nodejs_eventloop_lag_p99_seconds')
    await writeFile(since, '')

    const began = performance.now()
    let isOver = false
    const cold = Promise.all(
      names.flatMap((name) => PROFILES.map((profile) => pull(proxy.base, name, `1-${profile}`))),
    ).finally(() => {
      isOver = true
    })
    const took: number[] = []
    const warm = async () => {
      while (!isOver) {
        const asked = performance.now()
        await pull(proxy.base, 'slow/warm', '1-zstd')
        took.push(performance.now() - asked)
      }
    }
    const [images] = await Promise.all([cold, warm(), warm()])
    const lag = await proxy.crossdock.metric('nodejs_eventloop_lag_p99_seconds')
    took.sort((a, b) => a - b)
    const p95 = took[Math.floor(took.length * 0.95)] ?? Number.NaN
    console.info(
      `${Math.round(performance.now() - began)} ms for ${images.length} conversions; ${took.length} warm pulls meanwhile, ` +
        `median ${took[took.length >> 1]?.toFixed(0)} ms, p95 ${p95.toFixed(0)} ms, longest ${took.at(-1)?.toFixed(0)} ms; ` +
        `event loop p99 ${lag * 1000} ms`,
    )
    expect(p95).toBeLessThan(1000)
    expect(lag).toBeLessThan(0.2)
    await rm(since)
    expect(await tempFiles(data)).toEqual([])
    expect(await proxy.stop()).toBe(0)
    expect((await fsck(data)).problems).toEqual([])
  },
  START_MS * 2,
)
