/** An import that makes layers again, cut off at every step that leaves a trace on the disk, and its bundle damaged in every part. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { IdentifiedBundle } from '../../src/bundle/description.ts'
import { blobPath } from '../../src/bundle/layout-files.ts'
import { type Hosts, must, openHosts, readJson } from '../helpers/bundle-hosts.ts'
import { seededText } from '../helpers/bytes.ts'
import { fsck } from '../helpers/faults-fsck.ts'
import type { Failpoint, Operation } from '../helpers/faults-preload.ts'
import { faultyEnvironment } from '../helpers/faults-proxy.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { Dice, seedOf } from '../helpers/faults-seed.ts'
import { isSharedPair, storeEnvironment } from '../helpers/pair.ts'
import { storedTree } from '../helpers/stored.ts'

const OPERATIONS = ['rename', 'remove', 'commit'] as const
/** There are fewer steps of each kind. */
const ENDLESS = isSharedPair ? 150 : 60
/** Each takes a second, on the shared pair several, and those that are next to each other are alike. */
const STRIDE = process.env.FAULTS_EVERY_STEP ? 1 : isSharedPair ? 11 : 3
const dice = new Dice(seedOf('imports that are killed'))
const PATIENCE_MS = isSharedPair ? 3_600_000 : 600_000
/** Where a disk is full: S3 and its requests are none. */
const FULL = isSharedPair
  ? (['write', 'sync', 'commit'] as const)
  : (['write', 'sync', 'rename', 'commit'] as const)

let hosts: Hosts
/** What a whole import leaves. */
let clean: readonly string[]
/** The data folder of the far host; each is used once, since the store of the shared pair stays when its folder goes. */
let data: string
let round = 0

const text = (name: string) => ({
  files: [{ name, body: Buffer.from(seededText(30_000, name)) }],
})
const bundle = (name = 'b.tar.zst') => join(hosts.near.folder, name)

beforeAll(async () => {
  hosts = await openHosts()
  const { registry, near, far } = hosts
  await registry.pushImage('team/app', '1', { layers: [text('one'), text('two')] })
  await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'b.tar.zst')
  await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'b')
  await forget()
  await must(far, 'import', bundle(), '--data', data)
  clean = await blobs()
}, PATIENCE_MS)

afterAll(() => hosts?.[Symbol.asyncDispose]())

describe('an import that makes layers again', () => {
  test.each(OPERATIONS)(
    'leaves a sound store when it is killed at any %s, and is made good by the next',
    async (op) => {
      let killed = 0
      for (const when of ['before', 'after'] as const) {
        for (let nth = 1 + dice.int(STRIDE); nth < ENDLESS; nth += STRIDE) {
          await forget()
          if (!(await importWith({ op, when, nth, act: 'kill' }).then(isKilled))) break
          killed += 1
          await goesOn(`${when} ${op} ${nth}`)
        }
      }
      expect(killed).toBeGreaterThan(2 / STRIDE)
      expect(killed * STRIDE).toBeLessThan(2 * (ENDLESS - 1))
    },
    PATIENCE_MS,
  )

  test.each(FULL)(
    'says so when the disk is full from some %s on, and leaves nothing that a next one cannot use',
    async (op) => {
      for (let nth = 1; nth < ENDLESS; nth += 4) {
        await forget()
        const full = { op, when: 'before', nth, times: 1_000, act: 'ENOSPC' } as const
        const { code, said } = await importWith(full)
        if (code === 0) return
        expect({ nth, code }).toEqual({ nth, code: 1 })
        expect(said).toMatch(/full|space|room/)
        expect(said).not.toMatch(/\n\s+at /)
        await goesOn(`full at ${op} ${nth}`)
      }
      throw new Error(`there is no end to every ${op}`)
    },
    PATIENCE_MS,
  )

  test('takes no byte of any part of the bundle that has changed', async () => {
    const described = await readJson<IdentifiedBundle>(join(bundle('b'), 'bundle.json'))
    const parts = [...described.blobs, ...(described.materials ?? [])]
    for (const { digest } of parts) {
      const path = join(bundle('b'), blobPath(digest))
      const whole = await readFile(path)
      for (const at of [0, whole.byteLength >> 1, whole.byteLength - 1]) {
        await forget()
        await writeFile(path, flipped(whole, at))

        const { code, err } = await hosts.far.run('import', bundle('b'), '--data', data)

        expect({ digest, at, code }).toEqual({ digest, at, code: 1 })
        expect(err).toMatch(/is damaged.*copy the bundle again/)
        expect(await blobs()).toEqual([])
      }
      await writeFile(path, whole)
    }
    await must(hosts.far, 'import', bundle('b'), '--data', data)
    expect(await blobs()).toEqual(clean)
  })

  test.each(['b.tar.zst', 'b.tar.xz', 'b.tar'])(
    'takes nothing of an archive with a changed bit that matters: %s',
    async (name) => {
      await must(hosts.near, 'export', 'team/app:1', '--restore-digests', '-o', name)
      const whole = await readFile(bundle(name))
      const damaged = join(hosts.near.folder, `damaged-${name}`)
      for (let i = 0; i < 40; i += 1) {
        await forget()
        await writeFile(damaged, flipped(whole, Math.floor(((i + 0.5) / 40) * whole.byteLength)))

        const { code } = await hosts.far.run('import', damaged, '--data', data)

        // A bit of padding, or of a header's fields that nobody reads, changes nothing.
        expect({ i, blobs: await blobs() }).toEqual({ i, blobs: code === 0 ? clean : [] })
      }
    },
    PATIENCE_MS,
  )
})

async function blobs(): Promise<readonly string[]> {
  return (await storedTree(data)).filter((line) => line.startsWith('blobs/'))
}

async function forget(): Promise<void> {
  if (round > 0) await rm(data, { recursive: true, force: true })
  round += 1
  data = join(hosts.far.folder, `data-${round}`)
}

/** What is left is sound, and the same import makes of it what it always makes. */
async function goesOn(what: string): Promise<void> {
  if (!isSharedPair) {
    const copy = join(hosts.far.folder, 'copy')
    await cp(data, copy, { recursive: true })
    await isSound(what, copy)
    await rm(copy, { recursive: true, force: true })
  }
  await must(hosts.far, 'import', bundle(), '--data', data)
  expect({ what, blobs: await blobs() }).toEqual({ what, blobs: clean })
  // The store of a catalog that is not whole yet cannot be copied.
  if (isSharedPair) await isSound(what, data)
}

async function isSound(what: string, folder: string): Promise<void> {
  const { problems } = await fsck(folder)
  expect({ what, problems }).toEqual({ what, problems: [] })
}

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly said: string
}

/** Of a spool as well. */
const OF_DISKS: ReadonlySet<Operation> = new Set(['write', 'sync'])

function isKilled({ signal }: Ended): boolean {
  return signal === 'SIGKILL'
}

async function importWith(point: Failpoint): Promise<Ended> {
  const cwd = hosts.far.folder
  const args = ['import', bundle(), '--data', data]
  const env = await storeEnvironment(args, cwd)
  const path = isSharedPair && !OF_DISKS.has(point.op) ? '' : '/data-'
  const child = spawn(process.execPath, [join(ROOT, 'src/main.ts'), ...args], {
    cwd,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...env, ...faultyEnvironment({ points: [{ path, ...point }] }) },
  })
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += String(chunk)
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { code, signal, said }
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 0x10
  return copy
}
