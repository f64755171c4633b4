/** What an export carries and leaves out, and what becomes of it when an image fails or somebody interrupts it. */
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Descriptor } from '../../src/oci/manifest.ts'
import { makeTemporary } from '../../src/bundle/temporary-folders.ts'
import { digestOf, hexOf } from '../../src/oci/digest.ts'
import { filesOf, must, openHosts, serving, UPSTREAM } from '../helpers/bundle-hosts.ts'
import { type FakeImage, fakeImage, fakeIndex, json } from '../helpers/fake-image.ts'

interface ExportJson {
  readonly files: readonly { readonly path: string }[]
  readonly images: readonly {
    readonly name: string
    readonly platforms: readonly string[]
    readonly leftOut?: readonly string[]
  }[]
  readonly failures: readonly { readonly reference: string; readonly error: string }[]
}

describe('an export', () => {
  it.each(['1', '1-zstd'])(
    'carries the own platform of %s, and says what it left out',
    async (tag) => {
      await using hosts = await openHosts()
      const { registry, near, far } = hosts
      const app = await registry.pushIndex('team/app', '1')

      const { out } = await must(near, 'export', `team/app:${tag}`, '-o', 'b.tar')

      expect(out).toMatch(
        /^left out of .*team\/app:1: linux\/arm64\n\(--platform all carries them\)$/m,
      )
      const files = await filesOf(join(near.folder, 'b.tar'))
      const arm = app.images[1] as FakeImage
      for (const { digest } of [arm, arm.config, ...arm.layers]) {
        expect(files.has(`blobs/sha256/${hexOf(digest)}`)).toBe(false)
      }
      await must(far, 'import', join(near.folder, 'b.tar'))
      if (tag !== '1') return
      await serving(far, async (get) => {
        const answer = await get(`${UPSTREAM}/team/app/manifests/1`)
        expect(answer.headers.get('docker-content-digest')).toBe(app.digest)
      })
    },
  )

  it('carries everything with --platform all, and what a list says for its images', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    for (const name of ['a', 'b', 'c']) await registry.pushIndex(`team/${name}`, '1')
    near.stdin = 'team/b:1 linux/arm64\nteam/c:1 linux/amd64\nteam/c:1 linux/arm64\n'

    const all = await must(near, 'export', 'team/a:1', '--platform', 'all', '-o', 'a.tar', '--json')
    const listed = await must(near, 'export', 'team/a:1', '-f', '-', '-o', 'b.tar', '--json')

    expect((JSON.parse(all.out) as ExportJson).images).toMatchObject([
      { platforms: ['linux/amd64', 'linux/arm64'] },
    ])
    const { images } = JSON.parse(listed.out) as ExportJson
    expect(images.map(({ platforms, leftOut }) => [platforms, leftOut])).toEqual([
      [['linux/amd64'], ['linux/arm64']],
      [['linux/arm64'], ['linux/amd64']],
      [['linux/amd64', 'linux/arm64'], undefined],
    ])
  })

  it('converts every platform with --platform all', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    const platforms = ['linux/amd64', 'linux/arm64', 'linux/s390x']
    const { images } = await registry.pushIndex('team/app', '1', { platforms })

    const { out } = await must(
      near,
      ...['export', 'team/app:1-zstd', '--platform', 'all', '-o', 'b.tar', '--json'],
    )

    const files = await filesOf(join(near.folder, 'b.tar'))
    expect((JSON.parse(out) as ExportJson).images[0]).toMatchObject({ profile: 'zstd', platforms })
    expect((JSON.parse(out) as ExportJson).images[0]).not.toHaveProperty('originals')
    for (const { digest } of images.flatMap(({ layers }) => layers)) {
      expect(files.has(`blobs/sha256/${hexOf(digest)}`)).toBe(false)
    }
  })

  it('carries a child that cannot be converted as it is, and says so', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const broken = await withWrongDiffId('linux/arm64')
    const sound = await fakeImage({ platform: 'linux/s390x' })
    for (const one of [broken, sound]) registry.push('team/app', undefined, one)
    registry.push('team/app', '1', fakeIndex([broken, sound]))

    const first = await near.run('export', 'team/app:1-zstd', '--platform', 'all', '-o', 'b.tar')
    const second = await near.run('stage', 'team/app:1-zstd', '--platform', 'all')

    expect([first.code, second.code]).toEqual([0, 0])
    expect(first.out).toMatch(/ zstd +linux\/arm64 \(original\) linux\/s390x /)
    for (const { err } of [first, second]) {
      expect(err).toMatch(
        /warning: .*team\/app:1-zstd: linux\/arm64 \(sha256:.* stays the original/,
      )
    }
    await must(far, 'import', join(near.folder, 'b.tar'))
  })

  it('takes attestations along of the images that it carries, and of no others', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    const images = [
      await fakeImage({ platform: 'linux/amd64' }),
      await fakeImage({ platform: 'linux/arm64' }),
    ]
    const attested = await Promise.all(images.map(() => fakeImage()))
    const index = indexOf([
      ...images.map((one) => ({ ...descriptor(one), platform: platformOf(one) })),
      ...attested.map((one, i) => ({
        ...descriptor(one),
        platform: { os: 'unknown', architecture: 'unknown' },
        annotations: {
          'vnd.docker.reference.type': 'attestation-manifest',
          'vnd.docker.reference.digest': images[i]?.digest ?? '',
        },
      })),
    ])
    for (const one of [...images, ...attested]) registry.push('team/app', undefined, one)
    registry.push('team/app', '1', index)

    await must(near, 'export', 'team/app:1', '-o', 'b.tar')

    const files = await filesOf(join(near.folder, 'b.tar'))
    const isThere = (one: FakeImage) => files.has(`blobs/sha256/${hexOf(one.digest)}`)
    expect(images.map(isThere)).toEqual([true, false])
    expect(attested.map(isThere)).toEqual([true, false])
  })

  it('goes on with the rest when one image fails, and lists what failed', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    await registry.pushImage('team/app', '1')
    const broken = await registry.pushImage('team/broken', '1')
    registry.delete('team/broken', broken.layers[0]?.digest ?? '')
    near.stdin = 'team/app:1\n\nteam/missing:2\nteam/broken:1-zstd\n'

    const text = await near.run('export', '-f', '-', '-o', 'b.tar')
    const { out } = await near.run('export', '-f', '-', '-o', 'b.tar', '--json')

    expect(text.code).toBe(1)
    expect(text.err).toMatch(/^crossdock: 2 of 3 images failed:$/m)
    expect(text.err).toMatch(/^ {2}\S*team\/missing:2: standard input:3: manifest .* is not there/m)
    expect(text.err).toMatch(/^ {2}\S*team\/broken:1-zstd: standard input:4: .*blob /m)
    const { images, failures } = JSON.parse(out) as ExportJson
    expect(images.map(({ name }) => name)).toEqual([`${UPSTREAM}/team/app:1`])
    expect(failures.map(({ reference }) => reference)).toEqual([
      'team/missing:2',
      'team/broken:1-zstd',
    ])
    const names = [...(await filesOf(join(near.folder, 'b.tar'))).keys()]
    expect(names).not.toContain(`blobs/sha256/${hexOf(broken.digest)}`)
    await must(far, 'import', join(near.folder, 'b.tar'))
  })

  it.each(['--fail-fast', 'everything fails'])('writes nothing: %s', async (why) => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    await registry.pushImage('team/app', '1')
    const refs = why === '--fail-fast' ? ['team/app:1', why] : ['team/other:1']

    const result = await near.run('export', 'team/missing:2', ...refs, '-o', 'b.tar')

    expect(result.code).toBe(1)
    expect(result.err).toMatch(/team\/missing:2 is not there/)
    expect(await outputs(near.folder)).toEqual([])
  })

  it.each(['while it is staged', 'while it is written'])(
    'leaves nothing behind when it is interrupted %s',
    async (when) => {
      await using hosts = await openHosts()
      const { registry, near } = hosts
      const app = await registry.pushImage('team/app', '1', { layers: [{ size: 4_000_000 }] })
      const [layer] = app.layers
      const hold = registry.hold({ blob: when.endsWith('staged') ? (layer?.digest ?? '') : 'none' })
      await writeFile(join(near.folder, 'b.tar.xz'), 'the one before')

      const running = near.start('export', 'team/app:1', '--level', '9', '-o', 'b.tar.xz')
      if (when.endsWith('staged')) await hold.reached
      else await running.logged(/b\.tar\.xz \(xz, level 9\): /)
      running.signal()
      hold.release()
      const result = await running.done

      expect(result.code).toBe(1)
      expect(result.err).toMatch(/interrupted; nothing was written/)
      expect(await outputs(near.folder)).toEqual(['b.tar.xz'])
    },
  )

  it('sweeps what a killed one left, and nothing that somebody is writing', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    await registry.pushImage('team/app', '1')
    await must(near, 'export', 'team/app:1', '-o', 'a.tar')
    const live = await makeTemporary(near.folder)
    // The same machine, and a process id that none has.
    const dead = live.replace(`-${process.pid}-`, '-4194999-')
    await mkdir(dead)
    await writeFile(join(dead, 'half'), 'x')

    await must(near, 'export', 'team/app:1', '-o', 'b.tar')

    expect(await outputs(near.folder)).toEqual([
      live.slice(near.folder.length + 1),
      'a.tar',
      'b.tar',
    ])
  })
})

describe('stage', () => {
  it('goes on with the rest, and with --fail-fast it does not', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    await registry.pushImage('team/app', '1')
    const refs = ['team/missing:2', 'team/app:1']

    const all = await near.run('stage', ...refs)
    const first = await near.run('stage', ...refs, '--jobs', '1', '--fail-fast')

    expect([all.code, first.code]).toEqual([1, 1])
    expect(all.out).toMatch(/team\/app:1 .*original/)
    expect(all.err).toMatch(/^crossdock: 1 of 2 images failed:\n {2}\S*team\/missing:2: /m)
    expect(first.out).not.toMatch(/team\/app/)
    expect(first.err).toMatch(/^crossdock: 1 of 2 images failed, 1 not tried:$/m)
  })

  it('reads lists as PowerShell writes them, and says what is none', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    await registry.pushImage('team/app', '1')
    await writeFile(join(near.folder, 'list'), Buffer.from('\ufeffteam/app:1\r\n', 'utf16le'))
    await writeFile(join(near.folder, 'zip'), Buffer.from([0x50, 0x4b, 3, 4, 0, 0, 0xff]))

    await must(near, 'stage', '-f', 'list')
    const refused = await near.run('stage', '-f', 'zip')
    const endless = await near.run('stage', '-f', '/dev/zero')

    expect([refused.code, endless.code]).toEqual([2, 2])
    expect(refused.err).toMatch(/cannot read the list zip: it is no UTF-8 text; save it as UTF-8/)
    expect(endless.err).toMatch(/cannot read the list \/dev\/zero: it is larger than 32 MiB/)
  })
})

/** What an export put there, or left. */
async function outputs(folder: string): Promise<string[]> {
  const names = await readdir(folder)
  return names.filter((name) => /^(?:[ab]\.tar|\.crossdock)/.test(name)).sort()
}

function descriptor({ mediaType, digest, bytes }: FakeImage) {
  return { mediaType, digest, size: bytes.byteLength }
}

function platformOf({ platform }: FakeImage) {
  const [os = '', architecture = ''] = platform.split('/')
  return { os, architecture }
}

/** Its layers are not what its config says. */
async function withWrongDiffId(platform: string): Promise<FakeImage> {
  const diff_ids = [digestOf(json('other'))]
  return await fakeImage({ platform, config: { rootfs: { type: 'layers', diff_ids } } })
}

function indexOf(manifests: readonly Partial<Descriptor>[]) {
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  const bytes = json({ schemaVersion: 2, mediaType, manifests })
  return { mediaType, bytes, digest: digestOf(bytes) }
}
