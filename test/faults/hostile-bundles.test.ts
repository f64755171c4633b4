/** Exports that are killed outright or interrupted, and archives made to exhaust whoever imports them, as processes of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatHeader } from '../../src/bundle/tar-header.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { storeEnvironment } from '../helpers/pair.ts'

const PATIENCE_MS = 120_000

let registry: FakeRegistry
let folder: string

beforeAll(async () => {
  registry = await FakeRegistry.start()
  folder = await mkdtemp(join(tmpdir(), 'crossdock-hostile-bundles-'))
  await registry.pushImage('team/app', '1', { layers: [{ size: 40_000_000 }] })
  const upstreams = { near: { url: registry.url } }
  const config = { upstreams, defaultUpstream: 'near', data: join(folder, 'data') }
  await writeFile(join(folder, 'crossdock.yaml'), JSON.stringify(config))
}, PATIENCE_MS)

afterAll(async () => {
  await registry?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

test.each(['SIGKILL', 'SIGINT', 'SIGTERM'] as const)(
  'an export that gets %s while it compresses leaves nothing behind',
  async (signal) => {
    const args = ['export', 'team/app:1', '--compress', 'xz', '--level', '1', '-o', 'b.tar.xz']
    const child = await start(...args)
    await until(async () => (await temporaries()).length > 0)
    child.kill(signal)
    const [code] = (await once(child, 'close')) as [number | null]

    expect(code).toBe(signal === 'SIGKILL' ? null : 1)
    if (signal === 'SIGKILL') {
      expect(await temporaries()).toHaveLength(1)
      const next = await start('export', 'team/app:1', '-o', 'a.tar')
      await once(next, 'close')
    }
    expect(await temporaries()).toEqual([])
    expect(await readdir(folder)).not.toContain('b.tar.xz')
  },
  PATIENCE_MS,
)

test(
  'links with names of 1 MiB take no memory of an import',
  async () => {
    const long = Buffer.alloc(2 ** 20, 'n')
    const header = formatHeader('././@LongLink', long.byteLength, '0').slice()
    header[156] = 'L'.charCodeAt(0)
    const link = formatHeader('x', 0, '0').slice()
    link[156] = '2'.charCodeAt(0)
    const one = Buffer.concat([sealed(header), long, sealed(link)])
    const archive = Buffer.concat(Array.from({ length: 300 }, () => one))
    await writeFile(join(folder, 'links.tar.gz'), gzipSync(archive, { level: 9 }))
    await writeFile(join(folder, 'empty.tar.gz'), gzipSync(Buffer.alloc(0)))

    const nothing = await peakOf('import', 'empty.tar.gz')
    const links = await peakOf('import', 'links.tar.gz')

    expect(links.text).toMatch(/a header is too long/)
    expect(links.peak - nothing.peak).toBeLessThan(64 * 1024 * 1024)
  },
  PATIENCE_MS,
)

async function start(...args: readonly string[]): Promise<ChildProcess> {
  const main = join(ROOT, 'src', 'main.ts')
  return spawn(process.execPath, [main, ...args], {
    cwd: folder,
    env: await storeEnvironment(args, folder),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** The most memory that a command had, bytes, and what it said. */
async function peakOf(...args: readonly string[]): Promise<{ peak: number; text: string }> {
  const child = await start(...args)
  let peak = 0
  let text = ''
  child.stderr?.on('data', (chunk) => {
    text += String(chunk)
  })
  const watch = setInterval(() => {
    readFile(`/proc/${child.pid}/status`, 'utf8').then(
      (status) => {
        peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024)
      },
      () => undefined,
    )
  }, 20)
  await once(child, 'close')
  clearInterval(watch)
  return { peak, text }
}

async function temporaries(): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.startsWith('.crossdock'))
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(10)
}

function sealed(block: Uint8Array): Uint8Array {
  block.fill(32, 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `), 148)
  return block
}
