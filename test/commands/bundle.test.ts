import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { digestOf, hexOf } from '../../src/oci/digest.ts'
import { filesOf, must, openHosts, serving, storeOf, UPSTREAM } from '../helpers/bundle-hosts.ts'
import { fakeImage, fakeLayer, json } from '../helpers/fake-image.ts'
import { loseCatalog } from '../helpers/stored.ts'

describe('the way across an air gap', () => {
  it('answers original names behind the gap with the same digests and nobody to ask', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1', { layers: 2 })
    const multi = await registry.pushIndex('team/multi', '2')
    await must(near, 'export', 'team/app:1', 'team/multi:2', '--platform', 'all', '-o', 'b.tar.zst')

    await must(far, 'import', join(near.folder, 'b.tar.zst'))

    await serving(far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/1`)
      expect(answer.headers.get('docker-content-digest')).toBe(app.digest)
      expect(digestOf(await answer.bytes())).toBe(app.digest)
      for (const { digest } of [app.config, ...app.layers]) {
        const blob = await get(`${UPSTREAM}/team/app/blobs/${digest}`)
        expect(digestOf(await blob.bytes())).toBe(digest)
      }
      const index = await get(`${UPSTREAM}/team/multi/manifests/2`)
      expect(index.headers.get('docker-content-digest')).toBe(multi.digest)
      for (const child of multi.images) {
        const image = await get(`${UPSTREAM}/team/multi/manifests/${child.digest}`)
        expect(digestOf(await image.bytes())).toBe(child.digest)
      }
      expect(await (await get(`${UPSTREAM}/team/app/tags/list`)).json()).toEqual({
        name: 'team/app',
        tags: ['1'],
      })
      expect((await get(`${UPSTREAM}/team/other/manifests/1`)).status).toBe(404)
    })
  })

  it.each(['gzip', 'zstd', 'none', 'estargz', 'zstdchunked'])(
    'answers the suffix -%s from the imported conversion',
    async (profile) => {
      await using hosts = await openHosts()
      const { registry, near, far } = hosts
      await registry.pushIndex('team/app', '1', {
        compression: profile === 'gzip' ? 'zstd' : 'gzip',
      })
      const args = ['--platform', 'all', '-o', 'b.tar', '--json']
      const { out } = await must(near, 'export', `team/app:1-${profile}`, ...args)
      const [image] = (JSON.parse(out) as { images: { digest: string }[] }).images

      await must(far, 'import', join(near.folder, 'b.tar'))

      await serving(far, async (get) => {
        for (const tag of [`1-${profile}`, '1']) {
          const answer = await get(`${UPSTREAM}/team/app/manifests/${tag}`)
          expect(answer.headers.get('docker-content-digest')).toBe(image?.digest)
          expect(answer.headers.get('crossdock-conversion')).toBe('hit')
        }
        await pullAll(get, `${UPSTREAM}/team/app`, image?.digest ?? '')
      })
    },
  )

  it('converts behind the gap to the digest that the near side has', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    await registry.pushImage('team/app', '1', { layers: 2 })
    const staged = await must(near, 'stage', 'team/app:1-zstd', '--json')
    const [{ digest } = { digest: '' }] = JSON.parse(staged.out) as { digest: string }[]
    await must(near, 'export', 'team/app:1', '-o', 'sources.tar')

    await must(far, 'import', join(near.folder, 'sources.tar'))

    await serving(far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/1-zstd`)
      expect(answer.headers.get('crossdock-conversion')).toMatch(/^converted/)
      expect(digestOf(await answer.bytes())).toBe(digest)
    })
  })

  it('carries sources beside conversions when asked', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1')
    await must(near, 'export', 'team/app:1-zstd', '--with-sources', '-o', 'b.tar')

    await must(far, 'import', join(near.folder, 'b.tar'))

    await serving(far, async (get) => {
      const plain = await get(`${UPSTREAM}/team/app/manifests/1`)
      expect(plain.headers.get('docker-content-digest')).toBe(app.digest)
      const converted = await get(`${UPSTREAM}/team/app/manifests/1-zstd`)
      expect(converted.headers.get('crossdock-conversion')).toBe('hit')
      await pullAll(get, `${UPSTREAM}/team/app`, app.digest)
    })
  })

  it.each([true, false])(
    'carries signatures, as referrers and as cosign tags (API: %s)',
    async (hasReferrers) => {
      await using hosts = await openHosts()
      const { registry, near, far } = hosts
      registry.hasReferrers = hasReferrers
      const app = await registry.pushImage('team/app', '1')
      const subject = { mediaType: app.mediaType, digest: app.digest, size: app.bytes.byteLength }
      const artifactType = 'application/spdx+json'
      const sbom = await fakeImage({ manifest: { subject, artifactType } })
      const signature = await fakeImage()
      registry.push('team/app', undefined, sbom)
      registry.push('team/app', `sha256-${hexOf(app.digest)}.sig`, signature)
      if (!hasReferrers)
        registry.push('team/app', `sha256-${hexOf(app.digest)}`, referrersIndex(sbom))
      await must(near, 'export', 'team/app:1-zstd', '-o', 'b.tar')

      await must(far, 'import', join(near.folder, 'b.tar'))

      await serving(far, async (get) => {
        const listed = await get(`${UPSTREAM}/team/app/referrers/${app.digest}`)
        expect(listed.headers.get('content-type')).toBe('application/vnd.oci.image.index.v1+json')
        const { manifests } = (await listed.json()) as { manifests: object[] }
        expect(manifests).toEqual([
          expect.objectContaining({
            digest: sbom.digest,
            artifactType,
            size: sbom.bytes.byteLength,
          }),
        ])
        await pullAll(get, `${UPSTREAM}/team/app`, sbom.digest)
        const tagged = await get(`${UPSTREAM}/team/app/manifests/sha256-${hexOf(app.digest)}.sig`)
        expect(tagged.headers.get('docker-content-digest')).toBe(signature.digest)
        await pullAll(get, `${UPSTREAM}/team/app`, signature.digest)
      })
    },
  )

  it('survives the loss of the far catalog', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    await registry.pushImage('team/app', '1')
    await must(near, 'export', 'team/app:1-zstd', '-o', 'b.tar')
    await must(far, 'import', join(near.folder, 'b.tar'))
    await loseCatalog(join(far.folder, 'data'))

    await serving(far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/1-zstd`)
      expect(answer.headers.get('crossdock-conversion')).toBe('hit')
      await pullAll(get, `${UPSTREAM}/team/app`, answer.headers.get('docker-content-digest') ?? '')
    })
  })
})

describe('a bundle', () => {
  it.each(['b.tar', 'b.tar.zst', 'b.tar.xz'])(
    'is the same twice, on another machine and in another order: %s',
    async (name) => {
      await using hosts = await openHosts()
      const { registry, near } = hosts
      await registry.pushImage('team/a', '1', { layers: 3 })
      await registry.pushIndex('team/b', '2')
      await using other = await openHosts()
      await other.near.write(
        'crossdock.yaml',
        await readFile(join(near.folder, 'crossdock.yaml'), 'utf8'),
      )

      await must(near, 'export', 'team/a:1-zstd', 'team/b:2', '-o', name, '--threads', '1')
      await must(other.near, 'export', 'team/b:2', 'team/a:1-zstd', '-o', name, '--threads', '3')

      const [one, two] = await Promise.all(
        [near, other.near].map(({ folder }) => readFile(join(folder, name))),
      )
      expect(one?.equals(two ?? Buffer.alloc(0))).toBe(true)
    },
  )

  it.each(['one.tar', './one.tar', 'one.tar.001'])(
    'is not overwritten by a delta that needs it: --since %s',
    async (since) => {
      await using hosts = await openHosts()
      const { registry, near } = hosts
      await registry.pushImage('team/app', '1')
      const volumes = since.endsWith('.001') ? ['--split', '1MiB'] : []
      await must(near, 'export', 'team/app:1', '-o', 'one.tar', ...volumes)
      const before = await readdir(near.folder)

      const args = ['team/app:1', '-o', 'one.tar', '--since', since, ...volumes]
      const result = await near.run('export', ...args)

      expect(result.code).toBe(2)
      expect(result.err).toMatch(/--since .*one\.tar\S* is the output; give the delta a name/)
      expect(await readdir(near.folder)).toEqual(before)
    },
  )

  it('says which earlier one cannot be read', async () => {
    await using hosts = await openHosts()
    await hosts.registry.pushImage('team/app', '1')
    await hosts.near.write('notes.txt', 'no archive')

    const args = ['team/app:1', '-o', 'b.tar', '--since', 'notes.txt'] as const
    const result = await hosts.near.run('export', ...args)

    expect(result.code).toBe(2)
    expect(result.err).toMatch(/--since \S*notes\.txt: the archive cannot be read/)
  })

  it('carries only what changed since an earlier one', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const base = await fakeLayer({ size: 500_000 })
    const before = await registry.pushImage('team/app', '1', { layers: [base, { size: 1000 }] })
    await must(near, 'export', 'team/app:1', '-o', 'one.tar')
    const after = await fakeImage({ layers: [base, { size: 2000 }] })
    registry.push('team/app', '2', after)
    await must(near, 'export', 'team/app:2', '-o', 'two.tar', '--since', 'one.tar')
    await must(near, 'export', 'team/app:2', '-o', 'three.tar', '--since', 'two.tar')

    const names = [...(await filesOf(join(near.folder, 'two.tar'))).keys()]
    expect(names.filter((name) => name.startsWith('blobs/')).sort()).toEqual(
      [after.digest, after.config.digest, after.layers[1]?.digest ?? before.digest]
        .map((digest) => `blobs/sha256/${hexOf(digest)}`)
        .sort(),
    )
    const early = await far.run('import', join(near.folder, 'two.tar'))
    expect(early.code).toBe(1)
    expect(early.err).toMatch(/delta.*import one\.tar \(sha256:[0-9a-f]{12}\) first/)
    expect(await storeOf(far)).toEqual([])
    const chained = await far.run('import', join(near.folder, 'three.tar'))
    expect(chained.err).toMatch(/import one\.tar \(.*\), then two\.tar \(.*\) first/)

    await must(
      far,
      'import',
      ...['one.tar', 'two.tar', 'three.tar'].map((name) => join(near.folder, name)),
    )
    await serving(far, (get) => pullAll(get, `${UPSTREAM}/team/app`, after.digest))
  })

  it('comes in volumes that any one of them leads to', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1', { layers: [{ size: 250_000 }] })
    await must(near, 'export', 'team/app:1', '-o', 'b.tar', '--split', '100KiB')

    expect((await stat(join(near.folder, 'b.tar.001'))).size).toBe(102_400)
    const sums = await readFile(join(near.folder, 'b.tar.sha256'), 'utf8')
    expect(sums.trim().split('\n')).toHaveLength(3)
    await must(far, 'import', join(near.folder, 'b.tar.002'))
    await serving(far, (get) => pullAll(get, `${UPSTREAM}/team/app`, app.digest))
  })

  it('takes no extension for a folder that it does not know, and makes no folders above', async () => {
    await using hosts = await openHosts()
    const { near } = hosts
    const refused = ['b.zip', 'b.tar.gz', join('absent', 'b.tar'), join('absent', 'b')]
    for (const output of refused) {
      expect(await near.run('export', 'team/app:1', '-o', output)).toMatchObject({
        code: 2,
        err: expect.stringMatching(/use \.tar, \.tar\.zst .* or \.tar\.xz|there is no folder/),
      })
    }

    expect((await readdir(near.folder)).filter((name) => /^(?:b|absent)/.test(name))).toEqual([])
  })

  it('says when it begins and ends to write', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    await registry.pushImage('team/app', '1', { layers: 2 })

    const { err } = await must(near, 'export', 'team/app:1', '-o', 'b.tar.zst')

    expect(err).toMatch(/^b\.tar\.zst \(zstd, level 9\): \d+ blobs, .*$/m)
    expect(err).toMatch(/^b\.tar\.zst \(zstd, level 9\): done in .*$/m)
  })

  it('makes a folder of a name with a slash at its end or with a version', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    await registry.pushImage('team/folder', '1', { layers: 1 })
    for (const output of ['slash.zip/', 'app-1.2']) {
      await must(near, 'export', 'team/folder:1', '-o', output)
      expect(await readdir(join(near.folder, output))).toContain('oci-layout')
    }
  })

  it('as a folder is an OCI layout that is never overwritten', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushImage('team/app', '1')
    await must(near, 'export', 'team/app:1', '-o', 'bundle')

    const again = await near.run('export', 'team/app:1', '-o', 'bundle')
    expect(again.code).toBe(1)
    expect(again.err).toMatch(/bundle is not empty/)
    const index = JSON.parse(await readFile(join(near.folder, 'bundle/index.json'), 'utf8'))
    expect(index.manifests[0]).toMatchObject({
      digest: app.digest,
      annotations: { 'io.containerd.image.name': `${UPSTREAM}/team/app:1` },
    })
    await must(far, 'import', join(near.folder, 'bundle'))
    await serving(far, (get) => pullAll(get, `${UPSTREAM}/team/app`, app.digest))
  })

  it('for docker load alone keeps digests across the gap and refuses zstd layers', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushIndex('team/app', '1')
    const refused = await near.run('export', 'team/app:1-zstd', '--format', 'docker', '-o', 'z.tar')
    expect(refused.code).toBe(1)
    expect(refused.err).toMatch(/zstd layers.*-gzip or -none/)

    await must(near, 'export', 'team/app:1', '--format', 'docker', '-o', 'd.tar')

    const files = await filesOf(join(near.folder, 'd.tar'))
    expect(files.has('index.json')).toBe(false)
    const [saved] = JSON.parse(Buffer.from(files.get('manifest.json') ?? []).toString())
    expect(saved.RepoTags).toEqual([`${UPSTREAM}/team/app:1`])
    expect(saved.Config).toBe(`blobs/sha256/${hexOf(app.images[0]?.config.digest ?? app.digest)}`)
    await must(far, 'import', join(near.folder, 'd.tar'))
    await serving(far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/1`)
      expect(answer.headers.get('docker-content-digest')).toBe(app.digest)
    })
  })

  it('of one platform keeps the digest of its index', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const app = await registry.pushIndex('team/app', '1')
    await must(near, 'export', 'team/app:1', '--platform', 'linux/arm64', '-o', 'b.tar')

    const files = await filesOf(join(near.folder, 'b.tar'))
    expect(files.has(`blobs/sha256/${hexOf(app.images[0]?.digest ?? app.digest)}`)).toBe(false)
    await must(far, 'import', join(near.folder, 'b.tar'))
    await serving(far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/1`)
      expect(answer.headers.get('docker-content-digest')).toBe(app.digest)
      await pullAll(get, `${UPSTREAM}/team/app`, app.images[1]?.digest ?? '')
    })
  })
})

/** Fetches a manifest and all below it, every byte held to its digest. */
async function pullAll(
  get: (path: string) => Promise<Response>,
  name: string,
  digest: string,
): Promise<void> {
  const answer = await get(`${name}/manifests/${digest}`)
  expect(answer.status).toBe(200)
  const bytes = await answer.bytes()
  expect(digestOf(bytes)).toBe(digest)
  const { manifests = [], layers = [], config } = JSON.parse(Buffer.from(bytes).toString())
  for (const child of manifests) await pullAll(get, name, child.digest)
  for (const blob of config === undefined ? [] : [config, ...layers]) {
    const body = await get(`${name}/blobs/${blob.digest}`)
    expect(digestOf(await body.bytes())).toBe(blob.digest)
  }
}

function referrersIndex(of: { mediaType: string; digest: string; bytes: Uint8Array }) {
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  const { digest } = of
  const manifests = [{ mediaType: of.mediaType, digest, size: of.bytes.byteLength }]
  const bytes = json({ schemaVersion: 2, mediaType, manifests })
  return { mediaType, bytes, digest: digestOf(bytes) }
}
