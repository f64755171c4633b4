import { describe, expect, it } from 'vitest'
import { digestOf, hexOf } from '../../src/oci/digest.ts'
import { must, nearConfig, openHosts } from '../helpers/bundle-hosts.ts'
import { fakeImage } from '../helpers/fake-image.ts'
import { FakePushRegistry } from '../helpers/fake-push-registry.ts'

describe('copy to a registry', () => {
  it('sends converted images whole, children before indexes, and nothing twice', async () => {
    await using hosts = await openHosts()
    await using target = await FakePushRegistry.start()
    const { registry, near } = hosts
    await registry.pushIndex('team/app', '1', { layers: 2 })

    const first = await must(near, 'copy', 'team/app:1-zstd', `${target.host}/base/app:1`, '--json')
    const again = await must(near, 'copy', 'team/app:1-zstd', `${target.host}/base/app:2`, '--json')

    const { digest } = JSON.parse(first.out) as { digest: string }
    for (const tag of ['1', '2']) {
      expect(digestOf(target.manifests.get(`base/app ${tag}`) ?? Buffer.alloc(0))).toBe(digest)
    }
    expect(JSON.parse(again.out).pushed).toMatchObject({ uploaded: 0, mounted: 0, reused: 6 })
  })

  it('takes the index as pullers get it, and changes nothing for them unless told to', async () => {
    await using hosts = await openHosts()
    await using target = await FakePushRegistry.start()
    const { registry, near } = hosts
    const platforms = ['linux/amd64', 'linux/arm64']
    const source = await registry.pushIndex('team/app', '1', { platforms })
    const stage = ['stage', 'team/app:1-zstd', '--json']
    const served = async () => JSON.parse((await must(near, ...stage)).out)[0].digest
    const copy = async (...more: string[]) => {
      const args = ['copy', 'team/app:1-zstd', `${target.host}/base/app:1`, '--json', ...more]
      return JSON.parse((await must(near, ...args)).out).digest
    }

    const before = await served()
    expect(await copy()).toBe(before)
    expect(await served()).toBe(before)
    const index = JSON.parse(String(target.manifests.get('base/app 1')))
    expect(index.manifests[0].digest).not.toBe(source.images[0]?.digest)
    expect(index.manifests[1].digest).toBe(source.images[1]?.digest)
    expect(target.manifests.has(`base/app ${source.images[1]?.digest}`)).toBe(true)

    expect(await copy('--platform', 'all')).not.toBe(before)
  })

  it('mounts what the same registry has under another name', async () => {
    await using hosts = await openHosts()
    await using target = await FakePushRegistry.start()
    const { registry, near } = hosts
    await registry.pushImage('team/app', '1')
    await must(near, 'copy', 'team/app:1', `${target.host}/team/app:1`)
    await near.write('crossdock.yaml', nearConfig(`http://${target.host}`))

    const { out } = await must(near, 'copy', 'team/app:1', 'registry.example/copy/app:1', '--json')

    expect(JSON.parse(out).pushed).toMatchObject({ uploaded: 0, mounted: 2 })
  })

  it('goes on where an upload broke', async () => {
    await using hosts = await openHosts()
    await using target = await FakePushRegistry.start()
    const { registry, near } = hosts
    const app = await registry.pushImage('team/app', '1', { layers: [{ size: 3_000_000 }] })
    target.breaks.push(1_000_000, 2_000_000)

    await must(near, 'copy', 'team/app:1', `${target.host}/base/app:1`)

    const layer = app.layers[0]
    const stored = target.blobs.get(`base/app ${layer?.digest}`)
    expect(stored?.equals(layer?.bytes ?? Buffer.alloc(0))).toBe(true)
    const posts = target.requests.filter((line) => line.startsWith('POST'))
    expect(posts).toHaveLength(2)
  })

  it('asks for a token to push with', async () => {
    await using hosts = await openHosts()
    await using target = await FakePushRegistry.start()
    target.token = 'right'
    const { registry, near } = hosts
    await registry.pushImage('team/app', '1')

    await must(near, 'copy', 'team/app:1', `${target.host}/base/app:1`)

    expect(new Set(target.scopes)).toEqual(new Set(['repository:base/app:pull,push']))
  })

  it.each([true, false])('takes referrers along (subject known: %s)', async (knowsSubjects) => {
    await using hosts = await openHosts()
    await using target = await FakePushRegistry.start()
    target.knowsSubjects = knowsSubjects
    const { registry, near } = hosts
    const app = await registry.pushImage('team/app', '1')
    const subject = { mediaType: app.mediaType, digest: app.digest, size: app.bytes.byteLength }
    const sbom = await fakeImage({ manifest: { subject, artifactType: 'application/spdx+json' } })
    const signature = await fakeImage()
    registry.push('team/app', undefined, sbom)
    registry.push('team/app', `sha256-${hexOf(app.digest)}.sig`, signature)

    await must(near, 'copy', 'team/app:1', `${target.host}/base/app:1`)

    expect(target.manifests.has(`base/app ${sbom.digest}`)).toBe(true)
    expect(target.manifests.has(`base/app sha256-${hexOf(app.digest)}.sig`)).toBe(true)
    const list = target.manifests.get(`base/app sha256-${hexOf(app.digest)}`)
    if (knowsSubjects) expect(list).toBeUndefined()
    else expect(JSON.parse(String(list)).manifests[0].digest).toBe(sbom.digest)
  })

  it('says what the registry says when it takes nothing', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    await registry.pushImage('team/app', '1')

    const result = await near.run('copy', 'team/app:1', `${registry.host}/base/app:1`)

    expect(result.code).toBe(1)
    expect(result.err).toMatch(/blob sha256:[0-9a-f]{64} to 127\.0\.0\.1:\d+\/base\/app/)
  })
})
