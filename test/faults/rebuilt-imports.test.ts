/** Imports that make layers again and are killed outright or run out of disk, as processes of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { hexOf } from '../../src/oci/digest.ts'
import { type Hosts, must, openHosts, serving, UPSTREAM } from '../helpers/bundle-hosts.ts'
import { seededText } from '../helpers/bytes.ts'
import type { FakeImage } from '../helpers/fake-image.ts'
import { tempFiles } from '../helpers/faults-fsck.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { storeEnvironment } from '../helpers/pair.ts'
import { storedBlobs } from '../helpers/stored.ts'

const PATIENCE_MS = 300_000

let hosts: Hosts
let app: FakeImage

beforeAll(async () => {
  hosts = await openHosts()
  const body = Buffer.from(seededText(6_000_000, 'rebuilt'))
  app = await hosts.registry.pushImage('team/app', '1', {
    layers: [{ files: [{ name: 'text', body }] }],
  })
  await must(hosts.near, 'export', 'team/app:1', '--restore-digests', '-o', 'b.tar.zst')
}, PATIENCE_MS)

afterAll(() => hosts?.[Symbol.asyncDispose]())

test(
  'an import that is killed while it makes a layer shows nothing, and goes on when it is run again',
  async () => {
    const { far, near } = hosts
    const tar = app.layers[0]?.diffId ?? app.digest
    const data = join(far.folder, 'data')
    const child = await start('import', join(near.folder, 'b.tar.zst'))
    await until(async () => (await storedBlobs(data)).includes(hexOf(tar)))
    child.kill('SIGKILL')
    await once(child, 'close')
    await serving(far, async (get) => {
      expect((await get(`${UPSTREAM}/team/app/manifests/1`)).status).toBe(404)
    })

    await must(far, 'import', join(near.folder, 'b.tar.zst'))

    const left = await storedBlobs(data)
    expect(left.toSorted()).toEqual(
      [app, app.config, ...app.layers].map(({ digest }) => hexOf(digest)).toSorted(),
    )
    await serving(far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/${app.digest}`)
      expect(answer.status).toBe(200)
      const layer = await get(`${UPSTREAM}/team/app/blobs/${app.layers[0]?.digest}`)
      expect(Buffer.compare(await layer.bytes(), app.layers[0]?.bytes ?? Buffer.of())).toBe(0)
    })
    await must(far, 'gc')
    expect(await tempFiles(data)).toEqual([])
  },
  PATIENCE_MS,
)

test(
  'a disk that is full ends it with a clear error and nothing left over',
  async () => {
    const { far, near } = hosts
    const data = join(far.folder, 'small')
    await mkdir(data)
    await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', data])
    try {
      const child = await start('import', '--data', data, join(near.folder, 'b.tar.zst'))
      let said = ''
      child.stderr?.on('data', (chunk) => {
        said += String(chunk)
      })
      const [code] = (await once(child, 'close')) as [number | null]

      expect(code).toBe(1)
      expect(said).toMatch(/full|space/)
      expect(await storedBlobs(data)).toEqual([])
    } finally {
      await mustRun('umount', [data])
    }
  },
  PATIENCE_MS,
)

async function start(...args: readonly string[]): Promise<ChildProcess> {
  const cwd = hosts.far.folder
  return spawn(process.execPath, [join(ROOT, 'src/main.ts'), ...args], {
    cwd,
    env: await storeEnvironment(args, cwd),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(5)
}
