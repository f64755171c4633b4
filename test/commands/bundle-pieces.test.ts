/** Images whose blobs are no layers that unpack (SOCI, Nydus), across an air gap: carried whole, and made again to be believed. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { type Hosts, must, openHosts, serving, UPSTREAM } from '../helpers/bundle-hosts.ts'
import { type FakeLayer, fakeImage, fakeLayer } from '../helpers/fake-image.ts'
import { FakePushRegistry } from '../helpers/fake-push-registry.ts'

const FORMS = ['soci', 'nydus', 'nydus-ref'] as const

/** Small layers have ztocs as well. */
const PROFILES = '\nprofiles: { soci: { format: soci, minLayerSize: 0 } }\n'

it('leaves the plain name to SOCI beside nydus', async () => {
  await using hosts = await openPieces()
  const { near } = hosts
  await pushMixed(hosts)
  const refs = ['team/app:1-nydus', 'team/app:1-soci']

  const { out } = await must(near, 'export', ...refs, '-o', 'b.tar', '--json')

  const { images } = JSON.parse(out) as { images: { name: string; profile: string }[] }
  const plain = images.filter(({ name }) => name.endsWith('/app:1'))
  expect(plain).toMatchObject([{ profile: 'soci' }])
})

it.each(['nydus', 'nydus-ref'])('says that Docker loads no -%s', async (form) => {
  await using hosts = await openPieces()
  const { near } = hosts
  await pushMixed(hosts)

  const { code, err } = await near.run(
    ...['export', `team/app:1-${form}`, '--format', 'docker', '-o', 'b.tar'],
  )

  expect(code).toBe(1)
  expect(err).toMatch(/team\/app:1-nydus\S* is a nydus image, which Docker cannot load/)
})

describe.each(FORMS)('-%s', (form) => {
  it('is served behind the gap as it was before it, and everything in it comes along', async () => {
    await using hosts = await openPieces()
    const { near, far } = hosts
    await pushMixed(hosts)
    const { out } = await must(near, 'export', `team/app:1-${form}`, '-o', 'b.tar', '--json')
    const [image] = (JSON.parse(out) as { images: { digest: Digest }[] }).images

    await must(far, 'import', join(near.folder, 'b.tar'))

    await serving(far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/1-${form}`)
      expect(answer.headers.get('docker-content-digest')).toBe(image?.digest)
      expect(answer.headers.get('crossdock-conversion')).toBe('hit')
      await pullAll(get, `${UPSTREAM}/team/app`, image?.digest ?? '')
    })
  })

  it('of an index goes with the platforms that were asked for', async () => {
    await using hosts = await openPieces()
    const { near, far } = hosts
    await hosts.registry.pushIndex('team/multi', '1')
    const args = ['--platform', 'all', '-o', 'b.tar', '--json'] as const
    const { out } = await must(near, 'export', `team/multi:1-${form}`, ...args)
    const [image] = (JSON.parse(out) as { images: { digest: Digest }[] }).images

    await must(far, 'import', join(near.folder, 'b.tar'))

    await serving(far, (get) => pullAll(get, `${UPSTREAM}/team/multi`, image?.digest ?? ''))
  })

  it('goes as a delta, compressed, which is proven by what came before', async () => {
    await using hosts = await openPieces()
    const { registry, near, far } = hosts
    const { base } = await pushMixed(hosts)
    const name = (n: number) => `${n}.tar.${form === 'soci' ? 'xz' : 'zst'}`
    registry.push('team/app', '2', await fakeImage({ layers: [base, { size: 3000 }] }))
    await must(near, 'export', `team/app:1-${form}`, '-o', name(1))
    await must(near, 'export', `team/app:2-${form}`, '-o', name(2), '--since', name(1))

    await must(far, 'import', ...[1, 2].map((n) => join(near.folder, name(n))))

    await serving(far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/2-${form}`)
      expect(answer.headers.get('crossdock-conversion')).toBe('hit')
      const digest = answer.headers.get('docker-content-digest') ?? ''
      await pullAll(get, `${UPSTREAM}/team/app`, digest)
    })
  })

  it('is copied to another registry and into a layout with all that it needs', async () => {
    await using hosts = await openPieces()
    await using target = await FakePushRegistry.start()
    const { near, far } = hosts
    await pushMixed(hosts)

    await must(near, 'copy', `team/app:1-${form}`, `${target.host}/base/app:1`)
    await must(near, 'copy', `team/app:1-${form}`, 'oci:layout')

    const digests = new Set<string>()
    const walk = async (bytes: Uint8Array) => {
      for (const { digest, isManifest } of namesIn(bytes)) {
        digests.add(digest)
        if (isManifest) await walk(target.manifests.get(`base/app ${digest}`) ?? Buffer.alloc(0))
      }
    }
    await walk(target.manifests.get('base/app 1') ?? Buffer.alloc(0))
    expect(digests.size).toBeGreaterThan(3)
    for (const digest of digests) {
      const pushed = target.blobs.get(`base/app ${digest}`)
      const bytes = pushed ?? target.manifests.get(`base/app ${digest}`)
      expect(bytes && digestOf(bytes), digest).toBe(digest)
      const file = join(near.folder, 'layout/blobs', digest.replace(':', '/'))
      expect(digestOf(await readFile(file))).toBe(digest)
    }
    const { out } = await must(far, 'import', join(near.folder, 'layout'), '--json')
    const [imported] = JSON.parse(out).images ?? JSON.parse(out)[0].images
    await serving(far, (get) => pullAll(get, imported.name.replace(/:[^/]*$/, ''), imported.digest))
  })

  it('is staged, listed, inspected, pinned, verified, kept by gc and removed', async () => {
    await using hosts = await openPieces()
    const { near } = hosts
    await pushMixed(hosts)
    const staged = await must(near, 'stage', `team/app:1-${form}`, '--json')
    const [{ digest } = { digest: '' }] = JSON.parse(staged.out) as { digest: string }[]

    expect((await must(near, 'list')).out).toContain(form)
    expect((await must(near, 'inspect', `team/app:1-${form}`)).out).toContain(digest.slice(0, 19))
    await must(near, 'pin', `team/app:1-${form}`)
    const verified = JSON.parse((await must(near, 'verify', '--all', '--json')).out)
    expect(verified).toMatchObject({ healed: 0, failed: 0, troubles: [] })
    await must(near, 'gc')
    await must(near, 'unpin', `team/app:1-${form}`)
    await must(near, 'remove', `team/app:1-${form}`)
    expect((await must(near, 'list')).out).not.toContain(form)
  })
})

async function openPieces(): Promise<Hosts> {
  const hosts = await openHosts()
  for (const host of [hosts.near, hosts.far]) {
    const before = await readFile(join(host.folder, 'crossdock.yaml'), 'utf8')
    await host.write('crossdock.yaml', before + PROFILES)
  }
  return hosts
}

/** An image of which `-nydus-ref` can leave one layer where it is, and not the other. */
async function pushMixed({ registry }: Hosts): Promise<{ readonly base: FakeLayer }> {
  const base = await fakeLayer({ size: 50_000 })
  await registry.pushImage('team/app', '1', {
    layers: [base, { size: 2000, compression: 'zstd' }, { size: 30, compression: 'none' }],
  })
  return { base }
}

interface Descriptor {
  readonly digest: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** Everything that somebody who has a manifest may ask for. */
function namesIn(bytes: Uint8Array): { digest: string; isManifest: boolean }[] {
  const {
    manifests = [],
    config,
    layers = [],
  } = JSON.parse(Buffer.from(bytes).toString()) as {
    manifests?: Descriptor[]
    config?: Descriptor
    layers?: Descriptor[]
  }
  const blobs = [...(config ? [config] : []), ...layers]
  const referred = layers.flatMap(
    ({ annotations }) => annotations?.['containerd.io/snapshot/nydus-ref'] ?? [],
  )
  return [
    ...manifests.map(({ digest }) => ({ digest, isManifest: true })),
    ...[...blobs.map(({ digest }) => digest), ...referred].map((digest) => {
      return { digest, isManifest: false }
    }),
  ]
}

async function pullAll(
  get: (path: string) => Promise<Response>,
  name: string,
  digest: string,
): Promise<void> {
  const answer = await get(`${name}/manifests/${digest}`)
  const bytes = await answer.bytes()
  expect(digestOf(bytes)).toBe(digest)
  for (const one of namesIn(bytes)) {
    if (one.isManifest) {
      await pullAll(get, name, one.digest)
      continue
    }
    const body = await get(`${name}/blobs/${one.digest}`)
    expect(digestOf(await body.bytes())).toBe(one.digest)
  }
}
