/** What is there already is looked at, not believed: layouts, the store, earlier bundles, registries. */
import { mkdir, open, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Digest, digestOf, hexOf } from '../../src/oci/digest.ts'
import { must, openHosts, serving, UPSTREAM } from '../helpers/bundle-hosts.ts'
import { FakePushRegistry } from '../helpers/fake-push-registry.ts'
import { harmBlob } from '../helpers/stored.ts'

describe('a copy into a layout', () => {
  it.each(['damaged', 'a link to another file'])(
    'writes a blob again that is there and %s',
    async (what) => {
      await using hosts = await openHosts()
      const { registry, near } = hosts
      const app = await registry.pushImage('team/app', '1')
      const [layer] = app.layers
      await must(near, 'copy', 'team/app:1', 'oci:layout:1')
      const path = join(near.folder, 'layout/blobs/sha256', hexOf(layer?.digest as Digest))
      if (what === 'damaged') await flip(path)
      else {
        await rm(path)
        await writeFile(join(near.folder, 'planted'), Buffer.alloc(layer?.bytes.byteLength ?? 0))
        await symlink(join(near.folder, 'planted'), path)
      }

      await must(near, 'copy', 'team/app:1', 'oci:layout:2')

      expect(digestOf(await readFile(path))).toBe(layer?.digest)
    },
  )
})

describe('an import', () => {
  it('makes good what has rotted in the store', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1')
    await must(near, 'export', 'team/app:1', '-o', 'b.tar')
    const bundle = join(near.folder, 'b.tar')
    await must(far, 'import', bundle)
    await harmBlob(join(far.folder, 'data'), app.layers[0]?.digest ?? '', flip)

    const { out } = await must(far, 'import', bundle)

    expect(out).toMatch(/^1 new blobs/m)
    await serving(far, async (get) => {
      const blob = await get(`${UPSTREAM}/team/app/blobs/${app.layers[0]?.digest}`)
      expect(digestOf(await blob.bytes())).toBe(app.layers[0]?.digest)
    })
  })

  it('takes a folder in which blobs are links to files of the same folder', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1')
    await must(near, 'copy', 'team/app:1', 'oci:layout:registry.example/team/app:1')
    const blobs = join(near.folder, 'layout/blobs/sha256')
    const hex = hexOf(app.layers[0]?.digest as Digest)
    await mkdir(join(near.folder, 'layout/store'))
    await rename(join(blobs, hex), join(near.folder, 'layout/store/layer'))
    await symlink('../../store/layer', join(blobs, hex))

    await must(far, 'import', join(near.folder, 'layout'))

    await serving(far, async (get) => {
      const blob = await get(`${UPSTREAM}/team/app/blobs/sha256:${hex}`)
      expect(digestOf(await blob.bytes())).toBe(app.layers[0]?.digest)
    })
  })

  it('counts configs and layers that are new, and nothing else', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    await registry.pushIndex('team/app', '1', { layers: 2 })
    await must(near, 'export', 'team/app:1', '--platform', 'all', '-o', 'b.tar')
    await must(near, 'copy', 'team/app:1', 'docker-archive:d.tar')

    for (const [name, blobs] of [
      ['b.tar', 9],
      ['b.tar', 0],
      ['d.tar', 0],
    ] as const) {
      const { out } = await must(far, 'import', join(near.folder, name), '--json')
      expect(JSON.parse(out)[0].added.blobs).toBe(blobs)
    }
  })
})

describe('--since', () => {
  it.each(['cut', 'damaged', 'cut in a volume'])('of a bundle that is %s fails', async (how) => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    const app = await registry.pushImage('team/app', '1', { layers: [{ size: 100_000 }] })
    const split = how === 'cut in a volume' ? ['--split', '50KiB'] : []
    await must(near, 'export', 'team/app:1', '-o', 'one.tar', ...split)
    const path = join(near.folder, split.length > 0 ? 'one.tar.002' : 'one.tar')
    const at = (await readFile(path)).indexOf(app.layers[0]?.bytes.subarray(0, 100) ?? '')
    if (how === 'damaged') await flip(path, at + 50_000)
    else await truncate(path, split.length > 0 ? 10_000 : at + 50_000)

    const result = await near.run('export', 'team/app:1', '-o', 'two.tar', '--since', 'one.tar')

    expect(result.code).toBe(2)
    expect(result.err).toMatch(/--since \S*one\.tar: .*(damaged|truncated)/)
  })
})

describe('a copy to a registry', () => {
  it('sends a blob again that the registry has in another size', async () => {
    await using hosts = await openHosts()
    await using target = await FakePushRegistry.start()
    const { registry, near } = hosts
    const app = await registry.pushImage('team/app', '1')
    const key = `base/app ${app.layers[0]?.digest}`
    target.blobs.set(key, Buffer.from('cut'))

    const { out } = await must(near, 'copy', 'team/app:1', `${target.host}/base/app:1`, '--json')

    expect(JSON.parse(out).pushed).toMatchObject({ uploaded: 2, reused: 0 })
    expect(digestOf(target.blobs.get(key) ?? Buffer.alloc(0))).toBe(app.layers[0]?.digest)
  })
})

async function flip(path: string, at = 100): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
    await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, at)
  } finally {
    await file.close()
  }
}
