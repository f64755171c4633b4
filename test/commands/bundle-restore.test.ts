/** Originals that travel as tars and corrections, and come back to the last bit. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type IdentifiedBundle, rebuiltIn } from '../../src/bundle/description.ts'
import { Imports } from '../../src/bundle/imports.ts'
import { blobPath } from '../../src/bundle/layout-files.ts'
import { RestoreThreads } from '../../src/codec/restore/threads.ts'
import { CrossdockError } from '../../src/errors.ts'
import { type Digest, digestOf, hexOf } from '../../src/oci/digest.ts'
import {
  filesOf,
  must,
  nearConfig,
  openHosts,
  readJson,
  serving,
  storeOf,
  UPSTREAM,
} from '../helpers/bundle-hosts.ts'
import type { Workplace } from '../helpers/command.ts'
import { fakeImage, fakeLayer } from '../helpers/fake-image.ts'
import { hasBlob, leaveBlob, removeBlob } from '../helpers/stored.ts'

/** A tar that packs well. */
const text = (name: string) => ({ files: [{ name, body: `${name} `.repeat(20_000) }] })

afterEach(() => vi.restoreAllMocks())

describe('originals that are carried to be restored', () => {
  it('are pulled behind the gap by the digests that they always had', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1', { layers: [text('one'), text('two')] })
    const multi = await registry.pushIndex('team/multi', '2')
    const images = ['team/app:1', 'team/multi:2', '--platform', 'all']
    const exported = await must(near, 'export', ...images, '--restore-digests', '-o', 'b.tar.xz')

    const { out } = await must(far, 'import', join(near.folder, 'b.tar.xz'))

    expect(exported.out).toMatch(/^4 of 4 layers go as tars, from which the import makes them/m)
    expect(out).toMatch(/of these 4 layers made again to the last bit/)
    const files = await filesOf(join(near.folder, 'b.tar.xz'))
    for (const { digest, diffId } of app.layers) {
      expect(files.has(blobPath(digest))).toBe(false)
      expect(digestOf(files.get(blobPath(diffId)) ?? Buffer.of())).toBe(diffId)
    }
    await serving(far, async (get) => {
      await pullAll(get, 'team/app', app.digest)
      await pullAll(get, 'team/multi', multi.digest)
    })
  })

  it('leave nothing in the store but themselves', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    await registry.pushImage('team/app', '1', { layers: [text('one')] })
    await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'split.tar')
    await must(near, 'export', 'team/app:1', '-o', 'whole.tar')
    await using other = await openHosts()

    await must(far, 'import', join(near.folder, 'split.tar'))
    await must(other.far, 'import', join(near.folder, 'whole.tar'))

    expect(await blobsOf(far)).toEqual(await blobsOf(other.far))
  })

  it('take along what a killed import of them has left, unless something leads to it', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1', { layers: [text('one'), text('two')] })
    await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'split')
    await must(near, 'export', 'team/app:1-none', '-o', 'plain.tar')
    const bundle = await readJson<IdentifiedBundle>(join(near.folder, 'split/bundle.json'))
    const [one, two] = rebuiltIn(bundle)
    const data = join(far.folder, 'data')
    const leave = async (...digests: readonly (Digest | undefined)[]) => {
      for (const digest of digests.filter((known) => known !== undefined)) {
        await leaveBlob(data, digest, await readFile(join(near.folder, 'split', blobPath(digest))))
      }
    }
    await leave(one?.tar.digest, one?.corrections.digest, two?.tar.digest)

    await must(far, 'import', join(near.folder, 'split'))
    const clean = await blobsOf(far)
    await leave(one?.tar.digest, two?.corrections.digest)
    await must(far, 'import', join(near.folder, 'split'))

    expect(clean).toHaveLength([app, app.config, ...app.layers].length)
    expect(await blobsOf(far)).toEqual(clean)
    await must(far, 'import', join(near.folder, 'plain.tar'))
    await must(far, 'import', join(near.folder, 'split'))
    for (const { diffId } of app.layers) expect(await hasBlob(data, diffId)).toBe(true)
  })

  it('share one tar with the form of them that is nothing else', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1', { layers: [text('one')] })
    await must(near, 'export', 'team/app:1-none', '--restore-digests', '-o', 'both')

    const bundle = await readJson<IdentifiedBundle>(join(near.folder, 'both/bundle.json'))
    const [layer] = rebuiltIn(bundle)
    expect(layer?.tar.digest).toBe(app.layers[0]?.diffId)
    expect(bundle.blobs.map(({ digest }) => digest)).toContain(layer?.tar.digest)
    expect(bundle.materials).toEqual([layer?.corrections])
    const index = await readJson<{ manifests: { digest: string }[] }>(
      join(near.folder, 'both/index.json'),
    )
    expect(index.manifests.map(({ digest }) => digest)).toEqual([bundle.images[0]?.digest])
    await must(far, 'import', join(near.folder, 'both'))
    await serving(far, async (get) => {
      await pullAll(get, 'team/app', app.digest)
      const form = await get(`${UPSTREAM}/team/app/manifests/1-none`)
      expect(form.headers.get('crossdock-conversion')).toBe('hit')
      await pullAll(get, 'team/app', bundle.images[0]?.digest ?? '')
    })
  })

  it.each(['zstd', 'estargz'])(
    'are what %s is made of behind the gap, to the digest of the near side',
    async (profile) => {
      await using hosts = await openHosts()
      const { registry, near, far } = hosts
      const app = await registry.pushIndex('team/app', '1')
      const args = ['--platform', 'all', '--restore-digests', '-o', 'b.tar.zst']
      const { out } = await must(near, 'export', `team/app:1-${profile}`, ...args, '--json')

      const said = await must(far, 'import', join(near.folder, 'b.tar.zst'))

      const [image] = (JSON.parse(out) as IdentifiedBundle).images
      const reference = `${UPSTREAM}/team/app:1-${profile}`
      const [form] = image?.forms ?? []
      expect(image).toMatchObject({ name: `${UPSTREAM}/team/app:1`, digest: app.digest })
      expect(form).toMatchObject({ reference, profile })
      expect(said.out).toContain(`converted when asked for: ${reference}\n`)
      const staged = await must(far, 'stage', reference, '--platform', 'all', '--json')
      expect(JSON.parse(staged.out)).toMatchObject([{ digest: form?.digest }])
      await serving(far, async (get) => {
        const answer = await get(`${UPSTREAM}/team/app/manifests/1-${profile}`)
        expect(digestOf(await answer.bytes())).toBe(form?.digest)
        await pullAll(get, 'team/app', app.digest)
      })
    },
  )

  it('are converted by the first pull behind the gap', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    await registry.pushImage('team/app', '1', { layers: [text('one')] })
    const args = ['team/app:1-zstd', '--restore-digests', '-o', 'b']
    await must(near, 'export', ...args)
    await must(far, 'import', join(near.folder, 'b'))

    const { images } = await readJson<IdentifiedBundle>(join(near.folder, 'b/bundle.json'))
    await serving(far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/1-zstd`)
      expect(answer.headers.get('crossdock-conversion')).toMatch(/^converted/)
      expect(digestOf(await answer.bytes())).toBe(images[0]?.forms?.[0]?.digest)
    })
  })

  it('promise no digest of a form of which a part stays', async () => {
    await using hosts = await openHosts()
    await hosts.registry.pushIndex('team/app', '1')
    const args = ['--platform', 'linux/arm64', '--restore-digests', '-o', 'b']
    await must(hosts.near, 'export', 'team/app:1-zstd', ...args)

    const { images } = await readJson<IdentifiedBundle>(join(hosts.near.folder, 'b/bundle.json'))
    expect(images[0]?.forms).toEqual([
      expect.objectContaining({ profile: 'zstd', children: expect.any(Array) }),
    ])
    expect(images[0]?.forms?.[0]).not.toHaveProperty('digest')
  })

  it('go beside their conversions when sources are asked for, too', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1', { layers: [text('one')] })
    const args = ['--with-sources', '--restore-digests', '-o', 'b.tar']
    await must(near, 'export', 'team/app:1-zstd', ...args)

    await must(far, 'import', join(near.folder, 'b.tar'))

    await serving(far, async (get) => {
      const form = await get(`${UPSTREAM}/team/app/manifests/1-zstd`)
      expect(form.headers.get('crossdock-conversion')).toBe('hit')
      await pullAll(get, 'team/app', app.digest)
    })
  })

  it('go as they are where nothing rebuilds them, and it is said why', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const foreign = await fakeLayer(text('two'))
    vi.spyOn(RestoreThreads.prototype, 'analyse').mockResolvedValue({
      kind: 'carry',
      why: 'nobody knows how',
    })
    const layers = [{ ...text('one'), compression: 'zstd' as const }, foreign, text('three')]
    const none = { ...text('four'), compression: 'none' as const }
    const app = await registry.pushImage('team/app', '1', { layers: [...layers, none] })

    const { out } = await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'b')

    expect(out).toMatch(/^0 of 4 layers go as tars, .*; as they are:$/m)
    expect(out).toMatch(new RegExp(`^  ${foreign.digest}  .*  nobody knows how$`, 'm'))
    const bundle = await readJson<IdentifiedBundle>(join(near.folder, 'b/bundle.json'))
    expect(bundle).toMatchObject({ bundleVersion: 1 })
    const reasons = new Map(bundle.layers?.map((one) => [one.digest, one]))
    expect(app.layers.map(({ digest }) => reasons.get(digest))).toMatchObject([
      { travels: 'whole', why: expect.stringMatching(/it is zstd/) },
      { travels: 'whole', why: 'nobody knows how' },
      { travels: 'whole', why: 'nobody knows how' },
      { travels: 'whole', why: expect.stringMatching(/a tar as it is/) },
    ])
    expect(await readdir(join(near.folder, 'b'))).toContain('index.json')
    await must(far, 'import', join(near.folder, 'b'))
    await serving(far, (get) => pullAll(get, 'team/app', app.digest))
  })

  it('keep signatures and whatever else refers to them', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1', { layers: [text('one')] })
    const subject = { mediaType: app.mediaType, digest: app.digest, size: app.bytes.byteLength }
    const sbom = await fakeImage({ manifest: { subject, artifactType: 'application/spdx+json' } })
    const signature = await fakeImage()
    registry.push('team/app', undefined, sbom)
    registry.push('team/app', `sha256-${hexOf(app.digest)}.sig`, signature)
    await must(near, 'export', 'team/app:1-zstd', '--restore-digests', '-o', 'b.tar')

    await must(far, 'import', join(near.folder, 'b.tar'))

    await serving(far, async (get) => {
      const listed = await get(`${UPSTREAM}/team/app/referrers/${app.digest}`)
      const { manifests } = (await listed.json()) as { manifests: object[] }
      expect(manifests).toMatchObject([{ digest: sbom.digest }])
      for (const { digest } of [app, sbom, signature]) await pullAll(get, 'team/app', digest)
    })
  })

  it('are left out by a delta of the bundle that brought them, and need its tars', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const [base, more] = await Promise.all(['base', 'more'].map((name) => fakeLayer(text(name))))
    if (base === undefined || more === undefined) throw new Error('there are two layers')
    registry.push('team/app', '1', await fakeImage({ layers: [base] }))
    const next = await fakeImage({ layers: [base, more] })
    registry.push('team/app', '2', next)
    await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'one.tar')
    await must(near, 'export', 'team/app:2-none', '-o', 'tars.tar', '--since', 'one.tar')
    const since = ['--since', 'one.tar', '--since', 'tars.tar']
    await must(near, 'export', 'team/app:2', '--restore-digests', '-o', 'two.tar', ...since)

    const bundle = await descriptionOf(near, 'two.tar')
    expect(rebuiltIn(bundle)).toMatchObject([{ digest: more.digest, tar: { digest: more.diffId } }])
    expect(bundle.omitted.map(({ digest }) => digest)).toEqual(
      expect.arrayContaining([base.digest, more.diffId]),
    )
    const early = await far.run('import', join(near.folder, 'two.tar'))
    expect(early.err).toMatch(/delta.*import one\.tar/)
    const all = ['one.tar', 'tars.tar', 'two.tar'].map((name) => join(near.folder, name))
    await must(far, 'import', ...all)
    await serving(far, (get) => pullAll(get, 'team/app', next.digest))
  })

  it('come in volumes and in folders as well', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1', { layers: [text('one')] })
    const args = ['team/app:1', '--restore-digests']
    await must(near, 'export', ...args, '-o', 'b.tar', '--split', '100KiB')
    await must(near, 'export', ...args, '-o', 'folder')
    expect(await readdir(join(near.folder, 'folder'))).toEqual(['blobs', 'bundle.json'])

    await must(far, 'import', join(near.folder, 'b.tar.002'), join(near.folder, 'folder'))

    await serving(far, (get) => pullAll(get, 'team/app', app.digest))
  })

  it('are nothing for other programs, which --format is for', async () => {
    await using hosts = await openHosts()
    for (const format of ['oci', 'docker']) {
      const args = ['--restore-digests', '--format', format, '-o', 'b.tar']
      expect(await hosts.near.run('export', 'team/app:1', ...args)).toMatchObject({
        code: 2,
        err: expect.stringMatching(/other programs, which need whole layers/),
      })
    }
  })

  it('are advised to whoever packs gzip under xz or zstd, unless others are to load it', async () => {
    await using hosts = await openHosts()
    await hosts.registry.pushImage('team/app', '1', { layers: [{ size: 1_200_000 }] })
    const exported = async (...args: readonly string[]) =>
      (await must(hosts.near, 'export', 'team/app:1', ...args)).err

    const advice = /hardly get smaller under zstd; with --restore-digests/
    expect(await exported('-o', 'b.tar.zst')).toMatch(advice)
    for (const args of [
      ['b.tar'],
      ['b'],
      ['o.tar.zst', '--format', 'oci'],
      ['r.tar.zst', '--restore-digests'],
    ]) {
      expect(await exported('-o', ...args)).not.toMatch(/--restore-digests/)
    }
  })

  it('are the same bundle from any machine', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    await registry.pushImage('team/a', '1', { layers: [text('one'), text('two')] })
    await registry.pushIndex('team/b', '2')
    await far.write('crossdock.yaml', await readFile(join(near.folder, 'crossdock.yaml'), 'utf8'))

    await must(near, 'export', 'team/a:1-zstd', 'team/b:2', '--restore-digests', '-o', 'b.tar.zst')
    await must(far, 'export', 'team/b:2', 'team/a:1-zstd', '--restore-digests', '-o', 'b.tar.zst')

    const [one, two] = await Promise.all(
      [near, far].map(({ folder }) => readFile(join(folder, 'b.tar.zst'))),
    )
    expect(one?.equals(two ?? Buffer.of())).toBe(true)
  })

  it('are looked at once, however often they are exported', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    await registry.pushImage('team/app', '1', { layers: [text('one'), { size: 100_000 }] })
    const analyse = vi.spyOn(RestoreThreads.prototype, 'analyse')
    const refuse = { kind: 'carry', why: 'nobody knows how' } as const
    analyse.mockResolvedValueOnce(refuse)
    await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'one.tar')
    expect(analyse).toHaveBeenCalledTimes(2)

    const again = await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'two.tar')

    expect(again.out).toMatch(/1 of 2 layers go as tars/)
    expect(analyse).toHaveBeenCalledTimes(2)
    const [one, two] = await Promise.all(
      ['one.tar', 'two.tar'].map((name) => readFile(join(near.folder, name))),
    )
    expect(one?.equals(two ?? Buffer.of())).toBe(true)
  })

  it('are neither analysed nor made again where the store keeps them as zstd and corrections', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    const app = await registry.pushImage('team/app', '1', { layers: [text('one')] })
    await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'one.tar')
    await must(near, 'stage', 'team/app:1-zstd')
    await removeBlob(join(near.folder, 'data'), app.layers[0]?.digest ?? app.digest)
    await near.write('crossdock.yaml', `${nearConfig(registry.url)}cache: { offline: true }\n`)
    const analyse = vi.spyOn(RestoreThreads.prototype, 'analyse')
    const rebuild = vi.spyOn(RestoreThreads.prototype, 'rebuild')

    await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'two.tar')

    expect(analyse).not.toHaveBeenCalled()
    expect(rebuild).not.toHaveBeenCalled()
    const [one, two] = await Promise.all(
      ['one.tar', 'two.tar'].map((name) => readFile(join(near.folder, name))),
    )
    expect(one?.equals(two ?? Buffer.of())).toBe(true)
  })

  it('are not made again where a killed import had made them', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1', { layers: [text('one'), text('two')] })
    await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'b.tar')
    const rebuild = vi.spyOn(RestoreThreads.prototype, 'rebuild')
    await must(far, 'import', join(near.folder, 'b.tar'))
    expect(rebuild).toHaveBeenCalledTimes(2)

    await must(far, 'import', join(near.folder, 'b.tar'))

    expect(rebuild).toHaveBeenCalledTimes(2)
    await serving(far, (get) => pullAll(get, 'team/app', app.digest))
  })
})

describe('crossdock restore', () => {
  it.each(['layout', 'images.tar.zst'])(
    'writes the originals as others load them: %s',
    async (to) => {
      await using hosts = await openHosts()
      const { registry, near, far } = hosts
      const app = await registry.pushImage('team/app', '1', { layers: [text('one')] })
      const multi = await registry.pushIndex('team/multi', '2')
      const images = ['team/app:1-none', 'team/app:1', 'team/multi:2-zstd']
      await must(near, 'export', ...images, '--restore-digests', '-o', 'b.tar.xz')

      const { out } = await must(far, 'restore', join(near.folder, 'b.tar.xz'), '-o', to)

      expect(out).toMatch(new RegExp(`${UPSTREAM}/team/app:1 +original .*${app.digest}`))
      const files = await contentOf(join(far.folder, to))
      const { manifests } = JSON.parse(Buffer.from(files.get('index.json') ?? []).toString())
      expect(manifests).toMatchObject([
        {
          digest: app.digest,
          annotations: { 'io.containerd.image.name': `${UPSTREAM}/team/app:1` },
        },
        { digest: multi.digest },
      ])
      const own = [app, ...app.layers, multi, multi.images[0], ...(multi.images[0]?.layers ?? [])]
      for (const one of own) {
        const { digest } = one ?? app
        expect(digestOf(files.get(blobPath(digest)) ?? Buffer.of())).toBe(digest)
      }
      expect((await readdir(far.folder)).filter((name) => name.startsWith('.crossdock'))).toEqual(
        [],
      )
      expect(await readdir(far.folder)).not.toContain('data')
    },
  )

  it('takes a delta with what it builds on, and says what is missing', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const base = await fakeLayer(text('base'))
    registry.push('team/app', '1', await fakeImage({ layers: [base] }))
    const next = await fakeImage({ layers: [base, text('more')] })
    registry.push('team/app', '2', next)
    await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'one.tar')
    const since = ['--since', 'one.tar', '--restore-digests']
    await must(near, 'export', 'team/app:2', ...since, '-o', 'two.tar')
    const [one, two] = ['one.tar', 'two.tar'].map((name) => join(near.folder, name))

    const early = await far.run('restore', two ?? '', '-o', 'early')
    await must(far, 'restore', one ?? '', two ?? '', '-o', 'layout')

    expect(early).toMatchObject({ code: 1, err: expect.stringMatching(/import one\.tar/) })
    expect(await readdir(far.folder)).not.toContain('early')
    const files = await contentOf(join(far.folder, 'layout'))
    for (const { digest } of [next, ...next.layers]) expect(files.has(blobPath(digest))).toBe(true)
  })
})

describe('crossdock restore of what cannot be', () => {
  it('begins nothing, or says which bundle it is and what is wrong with it', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    await registry.pushImage('team/app', '1', { layers: [text('one')] })
    await must(near, 'export', 'team/app:1', '--restore-digests', '-o', 'b.tar.xz')
    const bundle = join(near.folder, 'b.tar.xz')
    const bytes = await readFile(bundle)
    await mkdir(join(far.folder, 'full/within'), { recursive: true })
    await far.write('no.tar', 'no archive')
    await writeFile(join(far.folder, 'half.tar.xz'), bytes.subarray(0, bytes.byteLength >> 1))
    const take = vi.spyOn(Imports.prototype, 'import')

    const onto = await near.run('restore', bundle, '-o', 'b.tar.xz')
    const into = await far.run('restore', bundle, '-o', 'full')
    expect(onto).toMatchObject({ code: 2, err: expect.stringMatching(/is a bundle that is read/) })
    expect(into).toMatchObject({ code: 1, err: expect.stringMatching(/full is not empty/) })
    expect(take).not.toHaveBeenCalled()
    expect(await readFile(bundle)).toEqual(bytes)

    for (const name of ['no.tar', 'half.tar.xz', 'none.tar', 'full']) {
      const { code, err } = await far.run('restore', bundle, name, '-o', 'out')
      expect(code).toBe(1)
      expect(err).toMatch(new RegExp(`${name}.*;`))
      expect(err.match(/crossdock:/g)).toHaveLength(1)
    }
    take.mockRejectedValue(new CrossdockError('storeFull', 'the data folder is full'))
    expect(await far.run('restore', bundle, '-o', 'out')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/no room for the images in .*b\.tar\.xz.*choose another place/),
    })
    expect((await readdir(far.folder)).toSorted()).toEqual([
      'crossdock.yaml',
      'full',
      'half.tar.xz',
      'no.tar',
    ])
  })
})

async function blobsOf(host: Workplace): Promise<readonly string[]> {
  return (await storeOf(host)).filter((name) => name.startsWith('blobs/'))
}

async function contentOf(path: string): Promise<ReadonlyMap<string, Uint8Array>> {
  if (path.endsWith('.zst')) return await filesOf(path)
  const names = await readdir(path, { recursive: true, withFileTypes: true })
  const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name))
  const read = files.map(
    async (file) => [file.slice(path.length + 1), await readFile(file)] as const,
  )
  return new Map(await Promise.all(read))
}

async function descriptionOf(host: Workplace, name: string): Promise<IdentifiedBundle> {
  const found = (await filesOf(join(host.folder, name))).get('bundle.json')
  return JSON.parse(Buffer.from(found ?? []).toString()) as IdentifiedBundle
}

/** Fetches a manifest and all below it, every byte held to its digest. */
async function pullAll(
  get: (path: string) => Promise<Response>,
  name: string,
  digest: string,
): Promise<void> {
  const path = `${UPSTREAM}/${name}`
  const answer = await get(`${path}/manifests/${digest}`)
  expect(answer.status).toBe(200)
  const bytes = await answer.bytes()
  expect(digestOf(bytes)).toBe(digest)
  const { manifests = [], layers = [], config } = JSON.parse(Buffer.from(bytes).toString())
  for (const child of manifests) {
    const there = await get(`${path}/manifests/${child.digest}`)
    if (there.status === 200) await pullAll(get, name, child.digest)
  }
  for (const blob of config === undefined ? [] : [config, ...layers]) {
    const body = await get(`${path}/blobs/${blob.digest}`)
    expect(digestOf(await body.bytes())).toBe(blob.digest)
  }
}
