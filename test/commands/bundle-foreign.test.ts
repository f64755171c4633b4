import { mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { pack } from 'tar-stream'
import { describe, expect, it } from 'vitest'
import { digestOf, hexOf } from '../../src/oci/digest.ts'
import { must, openHosts, serving, storeOf } from '../helpers/bundle-hosts.ts'
import { type FakeImage, fakeImage, fakeIndex, json } from '../helpers/fake-image.ts'

interface File {
  readonly name: string
  readonly body?: Uint8Array | undefined
  readonly linkname?: string
  readonly type?: 'file' | 'symlink' | 'link'
}

describe('what other tools made', () => {
  it('is imported from docker save of old: a folder a layer, links between equal ones', async () => {
    await using hosts = await openHosts()
    const { far } = hosts
    const image = await fakeImage({ layers: [{ size: 5000 }, { size: 10 }], compression: 'none' })
    const [first, second] = image.layers
    const twice = await fakeImage({
      layers: [...image.layers, ...(second ? [second] : [])],
      compression: 'none',
    })
    const archive = await tar([
      { name: 'a/VERSION', body: Buffer.from('1.0') },
      { name: 'a/layer.tar', body: first?.bytes },
      { name: 'b/layer.tar', body: second?.bytes },
      { name: 'c/layer.tar', type: 'symlink', linkname: '../b/layer.tar' },
      { name: `${hexOf(twice.config.digest)}.json`, body: twice.config.bytes },
      {
        name: 'manifest.json',
        body: saved(`${hexOf(twice.config.digest)}.json`, ['alpine:3'], ['a', 'b', 'c']),
      },
      { name: 'repositories', body: json({}) },
    ])
    const path = await put(far.folder, 'saved.tar', archive)

    const { out } = await must(far, 'import', path, '--json')

    expect(JSON.parse(out)[0].images[0].name).toBe('docker.io/library/alpine:3')
    await serving(far, async (get) => {
      const answer = await get('library/alpine/manifests/3')
      const manifest = (await answer.json()) as { config: { digest: string }; layers: object[] }
      expect(manifest.config.digest).toBe(twice.config.digest)
      expect(manifest.layers).toHaveLength(3)
      for (const { digest } of twice.layers) {
        const blob = await get(`library/alpine/blobs/${digest}`)
        expect(digestOf(await blob.bytes())).toBe(digest)
      }
    })
    const leftovers = (await storeOf(far)).filter((line) => line.startsWith('blobs/'))
    expect(leftovers).toHaveLength(4)
  })

  it('is refused when a layer is not what the config says', async () => {
    await using hosts = await openHosts()
    const { far } = hosts
    const image = await fakeImage({ layers: 2 })
    const [, second] = image.layers
    const archive = await tar([
      { name: 'a/layer.tar', body: second?.bytes },
      { name: 'b/layer.tar', body: second?.bytes },
      { name: 'config.json', body: image.config.bytes },
      { name: 'manifest.json', body: saved('config.json', ['a/b:1'], ['a', 'b']) },
    ])

    const result = await far.run('import', await put(far.folder, 'saved.tar.gz', gzipSync(archive)))

    expect(result.code).toBe(1)
    expect(result.err).toMatch(/a\/layer\.tar in the archive is damaged/)
    expect(await storeOf(far)).toEqual([])
  })

  it('is imported from an OCI layout, names and referrers and all', async () => {
    await using hosts = await openHosts()
    const { far } = hosts
    const image = await fakeImage({ compression: 'zstd' })
    const subject = { ...descriptor(image) }
    const sbom = await fakeImage({ manifest: { subject, artifactType: 'application/spdx+json' } })
    const signature = await fakeImage()
    const folder = await layout(join(far.folder, 'layout'), [
      [image, { 'io.containerd.image.name': 'ghcr.io/team/app:2' }],
      [image, { 'org.opencontainers.image.ref.name': 'v2' }],
      [sbom, {}],
      [signature, { 'org.opencontainers.image.ref.name': `sha256-${hexOf(image.digest)}.sig` }],
    ])

    await must(far, 'import', folder)

    await serving(far, async (get) => {
      for (const name of ['ghcr.io/team/app/manifests/2', 'localhost/layout/manifests/v2']) {
        expect((await get(name)).headers.get('docker-content-digest')).toBe(image.digest)
      }
      const listed = await get(`ghcr.io/team/app/referrers/${image.digest}`)
      expect(await listed.json()).toMatchObject({ manifests: [{ digest: sbom.digest }] })
    })
  })

  it('may lack platforms, as ctr export leaves them out, but not parts of an image', async () => {
    await using hosts = await openHosts()
    const { far } = hosts
    const [amd, arm] = [await fakeImage(), await fakeImage({ platform: 'linux/arm64' })]
    const index = fakeIndex([amd, arm])
    const name = { 'io.containerd.image.name': 'docker.io/library/alpine:3' }
    const folder = await layout(join(far.folder, 'sparse'), [[index, name]], [amd])

    await must(far, 'import', folder)

    await serving(far, async (get) => {
      const answer = await get('library/alpine/manifests/3')
      expect(answer.headers.get('docker-content-digest')).toBe(index.digest)
      expect((await get(`library/alpine/manifests/${amd.digest}`)).status).toBe(200)
    })
    const broken = await layout(join(far.folder, 'broken'), [[arm, name]])
    await rm(join(broken, 'blobs/sha256', hexOf(arm.layers[0]?.digest ?? arm.digest)))
    const result = await far.run('import', broken)
    expect(result.code).toBe(1)
    expect(result.err).toMatch(/layout is incomplete: sha256/)
  })

  it('gets the name that --name says when it has none', async () => {
    await using hosts = await openHosts()
    const { far } = hosts
    const image = await fakeImage()
    const folder = await layout(join(far.folder, 'x'), [[image, {}]])

    await must(far, 'import', folder, '--name', 'quay.io/team/x')

    await serving(far, async (get) => {
      const answer = await get('quay.io/team/x/manifests/latest')
      expect(answer.headers.get('docker-content-digest')).toBe(image.digest)
    })
  })

  it('cannot name files outside the archive', async () => {
    await using hosts = await openHosts()
    const { far } = hosts
    const image = await fakeImage()
    await writeFile(join(far.folder, 'secret'), image.layers[0]?.bytes ?? '')
    const archive = await tar([
      { name: 'layer.tar', type: 'symlink', linkname: '../secret' },
      { name: 'config.json', body: image.config.bytes },
      { name: 'manifest.json', body: json([{ Config: 'config.json', Layers: ['layer.tar'] }]) },
    ])

    const result = await far.run('import', await put(far.folder, 'evil.tar', archive))

    expect(result.code).toBe(1)
    expect(result.err).toMatch(/incomplete: layer\.tar is named and not there/)
  })
})

describe('copy', () => {
  it('keeps the digest of a conversion from layout to layout', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    await registry.pushImage('team/app', '1', { layers: 2 })
    const folder = await must(near, 'copy', 'team/app:1-zstd', 'oci:out:1-zstd', '--json')
    const { digest } = JSON.parse(folder.out) as { digest: string }

    const again = await must(near, 'copy', 'oci:out:1-zstd', 'oci:other:copy', '--json')

    expect(JSON.parse(again.out).digest).toBe(digest)
    const index = JSON.parse(await readFile(join(near.folder, 'other/index.json'), 'utf8'))
    expect(index.manifests).toHaveLength(1)
    expect(index.manifests[0].annotations['org.opencontainers.image.ref.name']).toBe('copy')
  })

  it('converts from layout to layout without any registry', async () => {
    await using hosts = await openHosts()
    const { far } = hosts
    const image = await fakeImage({ layers: 2 })
    await layout(join(far.folder, 'in'), [
      [image, { 'org.opencontainers.image.ref.name': '1' }],
      [await fakeImage(), { 'org.opencontainers.image.ref.name': '2' }],
    ])

    await must(far, 'copy', 'oci:in:1', 'oci:out:1-none')
    await must(far, 'copy', 'oci:in:2', 'oci:out:2')
    await must(far, 'copy', 'oci:out:1-none', 'oci-archive:out.tar.zst:again')
    const unnamed = await far.run('copy', 'oci:in', 'oci:out:x')

    const index = JSON.parse(await readFile(join(far.folder, 'out/index.json'), 'utf8'))
    const [first, second] = index.manifests
    expect([first, second].map(nameIn)).toEqual(['1-none', '2'])
    const manifest = JSON.parse(
      await readFile(join(far.folder, 'out/blobs/sha256', hexOf(first.digest)), 'utf8'),
    )
    expect(manifest.config.digest).toBe(image.config.digest)
    expect(manifest.layers.map((one: { digest: string }) => one.digest)).toEqual(
      image.layers.map(({ diffId }) => diffId),
    )
    expect(unnamed.code).not.toBe(0)
    expect(unnamed.err).toMatch(/holds several images; say which: 1, 2/)
  })

  it('replaces a name in a layout and leaves the others', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    await registry.pushImage('team/a', '1')
    await registry.pushImage('team/b', '1')

    await must(near, 'copy', 'team/a:1', 'oci:out:x')
    await must(near, 'copy', 'team/a:1', 'oci:out:y')
    await must(near, 'copy', 'team/b:1', 'oci:out:x')

    const index = JSON.parse(await readFile(join(near.folder, 'out/index.json'), 'utf8'))
    expect(index.manifests.map(nameIn).sort()).toEqual(['x', 'y'])
    const raw = await fetch(`${registry.url}/v2/team/b/manifests/1`)
    const digest = digestOf(await raw.bytes())
    expect(index.manifests.find((one: Root) => nameIn(one) === 'x').digest).toBe(digest)
  })

  it('refuses a destination without a host', async () => {
    await using hosts = await openHosts()
    await hosts.registry.pushImage('team/a', '1')

    const result = await hosts.near.run('copy', 'team/a:1', 'team/b:1')

    expect(result.code).toBe(2)
    expect(result.err).toMatch(/names no registry to copy to/)
  })

  it.each(['registry.test:99999/app:1', '127.0.0.1:65536/app:1', 'registry.test:0/app:1'])(
    'says what is wrong with the destination before it fetches anything: %s',
    async (target) => {
      await using hosts = await openHosts()
      const { registry, near } = hosts
      await registry.pushImage('team/app', '1')

      const result = await near.run('copy', 'team/app:1', target)

      expect(result.code).toBe(2)
      expect(result.err).toContain(`${target}: "${target.split('/')[0]}" is no registry: `)
      expect(result.err).toMatch(/a port from 1 to 65535/)
      expect(registry.requests).toEqual([])
    },
  )

  it.each([
    [
      'a document of something else',
      async (path: string) => writeFile(path, '["something"]'),
      /its index\.json is not that of an OCI layout; choose another folder/,
    ],
    [
      'without end',
      async (path: string) => {
        await writeFile(path, '{}')
        await truncate(path, 5e9)
      },
      /index\.json has 5000000000 bytes, more than the \d+ allowed/,
    ],
  ] as const)('adds to no folder whose index.json is %s', async (_what, make, message) => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    await registry.pushImage('team/app', '1')
    const folder = join(near.folder, 'layout')
    await mkdir(folder)
    await make(join(folder, 'index.json'))

    const result = await near.run('copy', 'team/app:1', 'oci:layout:1')

    expect(result.code).toBe(1)
    expect(result.err).toMatch(message)
    expect(await readdir(folder)).toEqual(['index.json'])
  })
})

interface Root {
  readonly annotations: Record<string, string>
}

function nameIn(root: Root): string | undefined {
  return root.annotations['org.opencontainers.image.ref.name']
}

function saved(config: string, names: readonly string[], layers: readonly string[]): Uint8Array {
  const Layers = layers.map((name) => `${name}/layer.tar`)
  return json([{ Config: config, RepoTags: names, Layers }])
}

async function tar(files: readonly File[]): Promise<Buffer> {
  const archive = pack()
  for (const { body, ...header } of files) archive.entry(header, Buffer.from(body ?? ''))
  archive.finalize()
  const chunks: Uint8Array[] = []
  for await (const chunk of archive) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks)
}

async function put(folder: string, name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
  return path
}

type What = { readonly mediaType: string; readonly digest: `${string}`; readonly bytes: Uint8Array }

function descriptor({ mediaType, digest, bytes }: What) {
  return { mediaType, digest, size: bytes.byteLength }
}

function isImage(what: What | FakeImage): what is FakeImage {
  return 'layers' in what
}

async function layout(
  folder: string,
  roots: readonly (readonly [What | FakeImage, Record<string, string>])[],
  more: readonly FakeImage[] = [],
): Promise<string> {
  await put(folder, 'oci-layout', json({ imageLayoutVersion: '1.0.0' }))
  const manifests = roots.map(([what, annotations]) => ({ ...descriptor(what), annotations }))
  await put(folder, 'index.json', json({ schemaVersion: 2, manifests }))
  for (const what of [...roots.map(([root]) => root), ...more]) {
    const parts = isImage(what) ? [what.config, ...what.layers] : []
    for (const { digest, bytes } of [what, ...parts]) {
      await put(folder, `blobs/sha256/${digest.slice(7)}`, bytes)
    }
  }
  return folder
}
