import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blobPath } from '../../src/bundle/layout-files.ts'
import { hexOf } from '../../src/oci/digest.ts'
import { type Hosts, must, openHosts, serving, storeOf, UPSTREAM } from '../helpers/bundle-hosts.ts'
import { type FakeImage, fakeImage } from '../helpers/fake-image.ts'
import { ForgedBundle, swap } from '../helpers/forged-bundle.ts'

describe('a damaged bundle', () => {
  let hosts: Hosts
  let before: readonly string[]
  let app: FakeImage

  beforeEach(async () => {
    hosts = await openHosts()
    const { registry, near, far } = hosts
    await registry.pushImage('team/other', '1')
    await must(near, 'export', 'team/other:1', '-o', 'other.tar')
    await must(far, 'import', join(near.folder, 'other.tar'))
    before = await storeOf(far)
    app = await registry.pushImage('team/app', '1', { layers: [{ size: 300_000 }, { size: 10 }] })
  })

  afterEach(() => hosts[Symbol.asyncDispose]())

  /** The import fails with this message, and the store is what it was. */
  async function refuses(path: string, message: RegExp): Promise<void> {
    const { far, near } = hosts
    const result = await far.run('import', join(near.folder, path))
    expect(result.code).toBe(1)
    expect(result.err).toMatch(message)
    expect(result.err).not.toMatch(/\n\s+at /)
    expect(await storeOf(far)).toEqual(before)
    await serving(far, async (get) => {
      expect((await get(`${UPSTREAM}/team/app/manifests/1`)).status).toBe(404)
      expect((await get(`${UPSTREAM}/team/other/manifests/1`)).status).toBe(200)
    })
  }

  it.each(['b.tar', 'b.tar.zst', 'b.tar.xz'])(
    'with a flipped byte is refused: %s',
    async (name) => {
      await must(hosts.near, 'export', 'team/app:1', '-o', name)
      await flip(join(hosts.near.folder, name), 0.5)

      await refuses(name, /damaged|corrupt|failed/)
    },
  )

  it('says which blob is damaged', async () => {
    await must(hosts.near, 'export', 'team/app:1', '-o', 'bundle')
    const path = blobPath(app.layers[0]?.digest ?? app.digest)
    await flip(join(hosts.near.folder, 'bundle', path), 0.5)

    await refuses('bundle', new RegExp(`${path} in the bundle is damaged.*copy the bundle again`))
  })

  it.each(['b.tar', 'b.tar.zst', 'b.tar.xz'])('that ends early is refused: %s', async (name) => {
    await must(hosts.near, 'export', 'team/app:1', '-o', name)
    const path = join(hosts.near.folder, name)
    await truncate(path, (await readFile(path)).byteLength - 2_000)

    await refuses(name, /truncated|before its time|unexpected end/i)
  })

  it('that ends between two blobs is refused', async () => {
    await must(hosts.near, 'export', 'team/app:1', '-o', 'bundle')
    await rm(join(hosts.near.folder, 'bundle', blobPath(app.config.digest)))

    await refuses('bundle', new RegExp(`incomplete: ${app.config.digest} is listed and not there`))
  })

  it('with a missing volume says which one', async () => {
    await must(hosts.near, 'export', 'team/app:1', '-o', 'b.tar', '--split', '100KiB')
    await rm(join(hosts.near.folder, 'b.tar.002'))

    await refuses('b.tar.001', /volume 2 of 4, .*b\.tar\.002, is missing/)
  })

  it('with a damaged volume says which one', async () => {
    await must(hosts.near, 'export', 'team/app:1', '-o', 'b.tar', '--split', '100KiB')
    await flip(join(hosts.near.folder, 'b.tar.003'), 0.5)

    await refuses('b.tar', /volume 3 of 4, .*b\.tar\.003, is damaged/)
  })

  it('whose description lies about a blob is refused', async () => {
    await must(hosts.near, 'export', 'team/app:1', '-o', 'bundle')
    const path = join(hosts.near.folder, 'bundle/bundle.json')
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replaceAll(app.digest, `sha256:${'0'.repeat(64)}`))

    await refuses('bundle', /incomplete|contradicts/)
  })

  it('of something else is no image archive', async () => {
    await writeFile(join(hosts.near.folder, 'x.tar.zst'), 'nothing of the kind')
    await refuses('x.tar.zst', /archive/)
    const near = join(hosts.near.folder, 'empty.tar')
    await writeFile(near, Buffer.alloc(1024))
    await refuses('empty.tar', /is no image archive/)
  })

  it('does not leave half a file when the image breaks during the export', async () => {
    const { registry, near } = hosts
    const broken = await fakeImage({ layers: [{ size: 1000 }] })
    registry.push('team/broken', '1', broken)
    registry.fault({ blob: broken.layers[0]?.digest ?? '' }, { status: 404 })

    const result = await near.run('export', 'team/broken:1', '-o', 'broken.tar')

    expect(result.code).toBe(1)
    await expect(readFile(join(near.folder, 'broken.tar'))).rejects.toThrow('ENOENT')
  })

  it('keeps an older export when the new one fails', async () => {
    const { registry, near } = hosts
    await must(near, 'export', 'team/app:1', '-o', 'b.tar')
    const old = await readFile(join(near.folder, 'b.tar'))
    registry.fault({ kind: 'manifest' }, { status: 500 })

    const result = await near.run('export', 'team/gone:1', '-o', 'b.tar')

    expect(result.code).toBe(1)
    expect((await readFile(join(near.folder, 'b.tar'))).equals(old)).toBe(true)
  })

  it('stops at a signal and takes back what it brought', async () => {
    const { far, near } = hosts
    await must(near, 'export', 'team/app:1', '-o', 'b.tar')
    const running = far.start('import', join(near.folder, 'b.tar'))
    running.signal()

    const { code, err } = await running.done

    expect(code).toBe(1)
    expect(err).toMatch(/interrupted; nothing of this one was imported/)
    expect(await storeOf(far)).toEqual(before)
  })

  it('can be imported again when it is whole', async () => {
    const { far, near } = hosts
    await must(near, 'export', 'team/app:1', '-o', 'b.tar')
    const path = join(near.folder, 'b.tar')
    const whole = await readFile(path)
    await truncate(path, 200_000)
    await refuses('b.tar', /ends too early/)
    await writeFile(path, whole)

    await must(far, 'import', path)
    await must(far, 'import', path)

    expect(await storeOf(far)).toEqual(
      expect.arrayContaining([expect.stringContaining(hexOf(app.digest))]),
    )
  })
})

describe('a bundle whose conversions are not what it says', () => {
  let hosts: Hosts
  let apps: readonly FakeImage[]

  beforeEach(async () => {
    hosts = await openHosts()
    const { registry } = hosts
    apps = [
      await registry.pushImage('team/app', '1', { layers: [{ size: 300_000 }, { size: 10 }] }),
      await registry.pushImage('team/app', '2', { layers: [{ size: 400_000 }, { size: 20 }] }),
    ]
    await registry.pushIndex('team/multi', '1')
    await registry.pushIndex('team/multi', '2')
  })

  afterEach(() => hosts[Symbol.asyncDispose]())

  /** Exports, changes the bundle, and sees the import refuse it. */
  async function refuses(
    names: readonly string[],
    forge: (bundle: ForgedBundle) => void | Promise<void>,
    message: RegExp,
  ): Promise<void> {
    const { near, far } = hosts
    await must(near, 'export', ...names, '--with-sources', '-o', 'bundle')
    const bundle = await ForgedBundle.open(join(near.folder, 'bundle'))
    await forge(bundle)
    await bundle.save()

    const result = await far.run('import', join(near.folder, 'bundle'))

    expect(result.err).toMatch(message)
    expect(result.err).toMatch(/do not use this bundle, export the images again/)
    expect(result.code).toBe(1)
    expect(await storeOf(far)).toEqual([])
    await must(near, 'export', ...names, '--with-sources', '-o', 'whole')
    await must(far, 'import', join(near.folder, 'whole'))
  }

  const profiles = ['zstd', 'none', 'estargz', 'zstdchunked']

  it.each(profiles)('is refused when two images are swapped: %s', async (profile) => {
    await refuses(
      [`team/app:1-${profile}`, `team/app:2-${profile}`],
      ({ conversions: [one, two] }) => swap(one, two, 'target'),
      /team\/app@sha256:[0-9a-f]{64}, and it is not: (?:their configs differ|layer .* is not in)/,
    )
  })

  it('is refused when two indexes are swapped', async () => {
    await refuses(
      ['team/multi:1-zstd', 'team/multi:2-zstd'],
      ({ conversions }) => {
        const [one, two] = conversions.filter(({ layers }) => layers.length === 0)
        swap(one, two, 'target')
      },
      /in it is no conversion of sha256:/,
    )
  })

  it('is refused when two layers are swapped', async () => {
    await refuses(
      ['team/app:1-zstd'],
      ({ conversions: [made] }) => swap(made?.layers[0], made?.layers[1], 'target'),
      /is not in the image/,
    )
  })

  it('is refused when a layer is said to unpack to something else', async () => {
    await refuses(
      ['team/app:1-zstd'],
      ({ conversions: [made] }) => swap(made?.layers[0], made?.layers[1], 'diffId'),
      /the diffIDs of layer .* are not those of the configs/,
    )
  })

  it.each(profiles)('is refused when a layer unpacks to something else: %s', async (profile) => {
    await refuses(
      [`team/app:1-${profile}`, `team/app:2-${profile}`],
      async (bundle) => {
        const [one, two] = bundle.conversions
        if (one === undefined || two === undefined) throw new Error('two images were exported')
        const from = one.layers[0]?.target ?? ''
        const to = two.layers[0]?.target ?? ''
        // A manifest that is sound in itself, with another image's layer in it.
        await bundle.rewrite(one.target, (manifest) => manifest.replaceAll(from, to))
        const layer = one.layers[0]
        if (layer) Object.assign(layer, { target: to, size: two.layers[0]?.size })
      },
      /layer sha256:\w+ unpacks to sha256:\w+, but the image's config says sha256:/,
    )
  })

  it('is refused when the config of a converted image says more than its source', async () => {
    await refuses(
      ['team/app:1-estargz'],
      async (bundle) => {
        const made = bundle.conversions[0]
        const config = /"config":\{[^}]*"digest":"(sha256:\w+)"/.exec(
          await bundle.read(made?.target ?? ''),
        )?.[1]
        const forged = await bundle.rewrite(config ?? '', (text) =>
          text.replace(/^\{/, '{"author":"somebody else",'),
        )
        const size = (await bundle.read(forged)).length
        await bundle.rewrite(made?.target ?? '', (manifest) =>
          manifest.replace(/("digest":")sha256:\w+(","size":)\d+/, `$1${forged}$2${size}`),
        )
      },
      /their configs differ in more than diffIDs/,
    )
  })

  it('is refused when the conversion of one repository is filed under another', async () => {
    await refuses(
      ['team/app:1-zstd'],
      ({ conversions: [made] }) => {
        if (made) made.repository.name = 'team/multi'
      },
      /is not in that repository/,
    )
  })

  it('is refused when a delta gives a layer that is here already to another image', async () => {
    const { near, far } = hosts
    const both = ['team/app:1-zstd', 'team/app:2-zstd']
    await must(near, 'export', 'team/app:1-zstd', '-o', 'one')
    await must(near, 'export', ...both, '--since', 'one', '-o', 'two')
    await must(far, 'import', join(near.folder, 'one'))
    const before = await storeOf(far)
    const bundle = await ForgedBundle.open(join(near.folder, 'two'))
    const [first, second] = apps.map(({ digest }) =>
      bundle.conversions.find(({ source }) => source === digest),
    )
    const from = second?.layers[0]?.target ?? ''
    const to = first?.layers[0]?.target ?? ''
    await bundle.rewrite(second?.target ?? '', (manifest) => manifest.replaceAll(from, to))
    Object.assign(second?.layers[0] ?? {}, { target: to })
    await bundle.save()

    const result = await far.run('import', join(near.folder, 'two'))

    expect(result.err).toMatch(new RegExp(`and it is not: layer ${to} unpacks to`))
    expect(await storeOf(far)).toEqual(before)
  })
})

/** Changes one bit at a place in the file. */
async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path)
  const index = Math.floor(bytes.byteLength * at)
  bytes[index] = (bytes[index] ?? 0) ^ 1
  await writeFile(path, bytes)
}
