/** What rots or goes missing in the store is had again: by the next request, by the scrub, by `crossdock verify`. */
import { execFile } from 'node:child_process'
import { mkdir, open as openFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { outputTo } from '../../src/cli/output.ts'
import { run } from '../../src/cli/program.ts'
import type { System } from '../../src/cli/system.ts'
import { noFork } from '../helpers/command.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, type PulledImage, pull } from '../helpers/faults-puller.ts'
import { isEmbeddedOnly, storeSectionOf } from '../helpers/pair.ts'
import { harmBlob, isStored, loseCatalog, sidecarFile } from '../helpers/stored.ts'

type Harm = (path: string) => Promise<unknown>

const HARMS: Readonly<Record<string, Harm>> = {
  'has a flipped byte': (path) => flip(path),
  'is cut': (path) => truncate(path, 10),
  'is empty': (path) => truncate(path, 0),
  'is longer': (path) => writeFile(path, 'more', { flag: 'a' }),
  'is gone': (path) => rm(path),
  'is a folder': async (path) => {
    await rm(path)
    await mkdir(path)
    await writeFile(join(path, 'x'), 'x')
  },
  'is a link': async (path) => {
    await rm(path)
    await symlink('/etc/hostname', path)
  },
  'is a pipe': async (path) => {
    await rm(path)
    await promisify(execFile)('mkfifo', [path])
  },
}

/** That happen to what stays a file, or is gone. */
const OF_FILES = new Set(['has a flipped byte', 'is cut', 'is empty', 'is longer', 'is gone'])

let proxy: TestProxy
let origin: FakeRegistry

beforeAll(async () => {
  proxy = await TestProxy.start({ config: { cache: { scrub: { interval: '0' } } } })
  origin = proxy.registry
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

describe('the next request heals', () => {
  for (const [what, harm] of Object.entries(HARMS)) {
    test(`a source layer, a manifest and a config when each ${what}`, async () => {
      const name = `rot/source-${Object.keys(HARMS).indexOf(what)}`
      await origin.pushImage(name, '1', { layers: [{ size: 400_000 }] })
      const before = await pull(proxy.base, name, '1')
      await stopWith(digestsOf(before))
      for (const digest of digestsOf(before)) await harmed(digest, what, harm)
      await proxy.start()

      // A body of many pieces may be cut once, since its rot shows at its end.
      await pull(proxy.base, name, '1').catch(() => undefined)

      expect(await pull(proxy.base, name, '1')).toEqual(before)
    }, 30_000)

    test(`a converted layer, its manifest and its config when each ${what}`, async () => {
      const name = `rot/made-${Object.keys(HARMS).indexOf(what)}`
      await origin.pushImage(name, '1', { layers: [{ size: 400_000 }] })
      const before = await pull(proxy.base, name, '1-estargz')
      await stopWith(digestsOf(before))
      for (const digest of digestsOf(before)) await harmed(digest, what, harm)
      await proxy.start()

      await pull(proxy.base, name, before.digest).catch(() => undefined)

      expect(sameBytes(await pull(proxy.base, name, before.digest))).toEqual(sameBytes(before))
    }, 30_000)
  }

  test('a source that has rotted before it is converted', async () => {
    const image = await origin.pushImage('rot/before', '1', { layers: [{ size: 400_000 }] })
    await stopWith(digestsOf(await pull(proxy.base, 'rot/before', '1')))
    await harmBlob(proxy.data, image.layers[0]?.digest ?? '', flip)
    await proxy.start()

    const made = await pull(proxy.base, 'rot/before', '1-zstd')

    expect(made.layers[0]?.diffId).toBe(image.layers[0]?.diffId)
  })
})

describe('crossdock verify', () => {
  test('finds and heals everything that rotted, and is content afterwards', async () => {
    const names = ['verify/one', 'verify/two', 'verify/three']
    const harmed: string[] = []
    for (const name of names) {
      await origin.pushImage(name, '1', { layers: 2 })
      harmed.push(...digestsOf(await pull(proxy.base, name, '1-estargz')))
    }
    await allStored(harmed)
    for (const digest of harmed) await harmBlob(proxy.data, digest, flip)

    const first = await command('verify', '--json')
    // What is needed to make another thing again is healed on the way, and is not in the report.
    const found = JSON.parse(first.out)
    for (const one of found.troubles) expect(harmed).toContain(one.digest)
    expect(found.healed).toBeGreaterThanOrEqual(names.length)
    expect(found.failed).toBe(0)
    expect(first.code).toBe(0)

    const second = JSON.parse((await command('verify', '--all', '--json')).out)
    expect(second).toMatchObject({ healed: 0, failed: 0, troubles: [] })
    expect(second.sound).toBeGreaterThan(harmed.length)
  }, 60_000)

  test('ends with 1 when something cannot be had again, and says why', async () => {
    const image = await origin.pushImage('verify/lost', '1', { layers: [{ size: 5_000 }] })
    const layer = image.layers[0]?.digest ?? ''
    await allStored(digestsOf(await pull(proxy.base, 'verify/lost', '1')))
    await harmBlob(proxy.data, layer, flip)
    origin.delete('verify/lost', layer)

    const { code, out } = await command('verify', 'verify/lost:1')

    expect(code).toBe(1)
    expect(out).toContain(`failed  blob ${layer}: has rotted;`)
    expect(await command('verify', 'verify/lost:1')).toMatchObject({ code: 0 })
  })

  test('puts sidecars and catalog in step', async () => {
    const image = await origin.pushImage('verify/sidecar', '1')
    await pull(proxy.base, 'verify/sidecar', '1')
    const sidecar = await sidecarFile(proxy.data, image.digest)
    for (const garbage of [
      '{"digest":',
      JSON.stringify({ digest: image.digest, places: [null] }),
    ]) {
      await writeFile(sidecar, garbage)
      expect(await command('verify')).toMatchObject({
        code: 0,
        out: expect.stringMatching(/sidecar/),
      })
    }
    await proxy.stop()
    await loseCatalog(proxy.data)
    await proxy.start()
    const end = origin.fault({}, { status: 503 })
    expect((await getManifest(proxy.base, 'verify/sidecar', '1')).digest).toBe(image.digest)
    end()
  })

  test('says what a wrong argument is', async () => {
    expect(await command('verify', 'verify/one', '--all')).toMatchObject({ code: 2 })
    expect(await command('verify', 'verify/never-pulled:1')).toMatchObject({ code: 1 })
  })

  test('names an image whose layers are not what its own config says, which nobody can heal', async () => {
    const good = await origin.pushImage('verify/honest', '1')
    const liar = await origin.pushImage('verify/liar', '1', {
      layers: good.layers,
      config: { rootfs: { type: 'layers', diff_ids: [`sha256:${'0'.repeat(64)}`] } },
    })
    await pull(proxy.base, 'verify/liar', liar.digest).catch(() => undefined)
    await allStored([liar.digest, liar.config.digest, liar.layers[0]?.digest ?? ''])

    const { code, out } = await command('verify', `verify/liar@${liar.digest}`)

    expect(code).toBe(0)
    expect(out).toMatch(/^as published .*but its image's config says/m)
    expect(out).toMatch(/, 1 as published, 0 failed;/)
  })
})

describe('the scrub', () => {
  test('finds ten of ten rotten blobs and heals them', async () => {
    const harmed: string[] = []
    for (let i = 0; i < 5; i += 1) {
      await origin.pushImage('scrub/images', String(i), { layers: 2 })
      const { layers } = await pull(proxy.base, 'scrub/images', String(i))
      harmed.push(...layers.map(({ digest }) => digest))
    }
    await allStored(harmed)
    for (const digest of harmed) await harmBlob(proxy.data, digest, flip)

    await proxy.restart('SIGTERM', { cache: { scrub: { interval: '200ms' } } })
    await expect
      .poll(() => proxy.crossdock.metric('crossdock_scrubbed_bytes_total'), { timeout: 60_000 })
      .toBeGreaterThan(0)

    const said = proxy.crossdock.output()
    for (const digest of harmed) {
      expect(said).toMatch(new RegExp(`"store_check"[^\\n]*${digest}[^\\n]*"healed"`))
    }
    expect(await proxy.crossdock.metric('crossdock_store_checks_total', { result: 'healed' })).toBe(
      10,
    )
  }, 120_000)
})

describe.skipIf(isEmbeddedOnly('no file of a catalog can be deleted'))('the catalog', () => {
  test('that is deleted while the server runs is made again, and nobody notices', async () => {
    const image = await origin.pushImage('lost/catalog', '1')
    const made = await pull(proxy.base, 'lost/catalog', '1-zstd')
    for (const suffix of ['', '-wal', '-shm']) {
      await rm(join(proxy.data, `catalog.sqlite${suffix}`), { force: true })
    }
    await expect
      .poll(() => command('list', '--json').then(({ out }) => out), { timeout: 15_000 })
      .toContain(image.digest)
    await expect
      .poll(() => proxy.crossdock.output(), { timeout: 15_000 })
      .toContain('"catalog_replaced"')

    const later = await origin.pushImage('lost/catalog', '2')
    await pull(proxy.base, 'lost/catalog', '2')
    expect((await command('list', '--json')).out).toContain(later.digest)
    const end = origin.fault({}, { status: 503 })
    expect((await pull(proxy.base, 'lost/catalog', made.digest)).bytes).toEqual(made.bytes)
    end()
    expect((await ask(`${proxy.crossdock.url}/readyz`)).status).toBe(200)
  }, 60_000)
})

/** A puller has a body before it is durable here. */
async function allStored(digests: readonly string[]): Promise<void> {
  for (const digest of digests) {
    await expect.poll(() => isStored(proxy.data, digest)).toBe(true)
  }
}

async function stopWith(digests: readonly string[]): Promise<void> {
  await allStored(digests)
  await proxy.stop()
}

function digestsOf(image: PulledImage): string[] {
  return [image.digest, image.config, ...image.layers.map((layer) => layer.digest)]
}

function sameBytes({ bytes, layers, config }: PulledImage) {
  return { bytes, layers, config }
}

/** An S3 has nothing but files: what is none may be found in the cache alone. */
async function harmed(digest: string, what: string, harm: Harm): Promise<void> {
  await harmBlob(proxy.data, digest, harm, OF_FILES.has(what) ? 'object' : 'copy')
}

/** In the middle, and without changing the file's size. */
async function flip(path: string): Promise<void> {
  const handle = await openFile(path, 'r+')
  try {
    const { size } = await handle.stat()
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size >> 1)
    await handle.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, size >> 1)
  } finally {
    await handle.close()
  }
}

/** Beside the server, as a person would. */
async function command(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const text = { out: '', err: '' }
  const store = await storeSectionOf(proxy.data)
  const system: System = {
    env: {
      ...(store && { CROSSDOCK_STORE: JSON.stringify(store) }),
      CROSSDOCK_DATA: proxy.data,
      CROSSDOCK_DEFAULT_UPSTREAM: 'origin',
      CROSSDOCK_UPSTREAMS: JSON.stringify({ origin: { url: origin.url } }),
    },
    cwd: proxy.data,
    home: proxy.data,
    hostname: 'proxy.example',
    processes: { supervisor: undefined, fork: noFork },
    network: { addresses: () => [], leadsHere: async () => false },
    output: outputTo({
      isTerminal: false,
      columns: 100,
      rows: 30,
      out: (more) => {
        text.out += more
      },
      err: (more) => {
        text.err += more
      },
    }),
    log: { write: () => undefined },
    isLogTerminal: false,
    stdin: () => {
      throw new Error('nobody types')
    },
    needsNoSignals: () => undefined,
    signals: () => {
      throw new Error('no server runs here')
    },
  }
  return { code: await run(args, system), ...text }
}
