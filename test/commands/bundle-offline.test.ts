/** Behind the gap with a converted image and without the layers of its source: other forms are made of what was carried. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeLayer } from '../../src/codec/codecs.ts'
import { collect, streamOf } from '../../src/lib/streams.ts'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { type Hosts, must, openHosts, serving, UPSTREAM } from '../helpers/bundle-hosts.ts'
import { harmBlob, removeBlob } from '../helpers/stored.ts'

const LIMITS = { maxOutput: 2 ** 30, maxWindowLog: 27 }

describe('behind the gap, without the layers of the source', () => {
  it.each([
    ['none', ['zstd', 'zstdchunked', 'estargz']],
    ['zstdchunked', ['none', 'zstd-max']],
  ])(
    'a carried -%s image is converted to others, to the digests that the near side has',
    async (carried, wanted) => {
      await using hosts = await openHosts()
      await hosts.registry.pushImage('team/app', '1', { layers: 2 })
      await carry(hosts, `team/app:1-${carried}`)
      const refs = wanted.map((asked) => `team/app:1-${asked}`)
      const near = JSON.parse((await must(hosts.near, 'stage', ...refs, '--json')).out) as object[]

      await serving(hosts.far, async (get) => {
        for (const [i, asked] of wanted.entries()) {
          const answer = await get(`${UPSTREAM}/team/app/manifests/1-${asked}`)
          expect(answer.headers.get('crossdock-conversion')).toMatch(/^converted/)
          expect(near[i]).toMatchObject({ digest: digestOf(await answer.bytes()) })
          const again = await get(`${UPSTREAM}/team/app/manifests/1-${asked}`)
          expect(again.headers.get('crossdock-conversion')).toBe('hit')
        }
      })
    },
  )

  it('a carried index is converted for the platforms that came along', async () => {
    await using hosts = await openHosts()
    await hosts.registry.pushIndex('team/app', '1')
    const digest = await staged(hosts, 'team/app:1-zstd')
    await carry(hosts, 'team/app:1-none')

    await serving(hosts.far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/1-zstd`)
      expect(digestOf(await answer.bytes())).toBe(digest)
    })
  })

  it('a carried index of another platform than the far host has is converted for that one', async () => {
    await using hosts = await openHosts()
    const index = await hosts.registry.pushIndex('team/app', '1')
    await carry(hosts, 'team/app:1-none', '--platform', 'linux/arm64')
    const arm64 = index.images[1]?.digest

    await serving(hosts.far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/1-zstd`)
      expect(answer.headers.get('crossdock-conversion')).toMatch(/^converted/)
      const { manifests } = (await answer.json()) as { manifests: { digest: Digest }[] }
      const [amd, arm] = manifests.map(({ digest }) => digest)
      expect([amd === index.images[0]?.digest, arm === arm64]).toEqual([true, false])
      const child = await get(`${UPSTREAM}/team/app/manifests/${arm}`)
      const { layers } = (await child.json()) as { layers: { digest: Digest; mediaType: string }[] }
      for (const { digest, mediaType } of layers) {
        expect(mediaType).toMatch(/zstd$/)
        const blob = await (await get(`${UPSTREAM}/team/app/blobs/${digest}`)).bytes()
        expect(digestOf(blob)).toBe(digest)
      }
    })
  })

  it('an original that is demanded and was not carried is refused by the forms that are there', async () => {
    await using hosts = await openHosts()
    await hosts.registry.pushImage('team/app', '1')
    await carry(hosts, 'team/app:1-none')

    await serving(hosts.far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/1-original`)
      expect(answer.status).toBe(404)
      expect(await answer.text()).toContain('there is 1-none; pull that, or carry this one')
    })
  })

  it('is given in the compression that the lost layers had, with the config and files of the source', async () => {
    await using hosts = await openHosts()
    const app = await hosts.registry.pushImage('team/app', '1', { layers: 2 })
    await carry(hosts, 'team/app:1-none')

    await serving(hosts.far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/1-gzip`)
      expect(answer.status).toBe(200)
      const { config, layers } = (await answer.json()) as {
        config: { digest: string }
        layers: { digest: Digest; mediaType: string }[]
      }
      expect(config.digest).toBe(app.config.digest)
      for (const [i, { digest, mediaType }] of layers.entries()) {
        expect(mediaType).toMatch(/gzip$/)
        const blob = await (await get(`${UPSTREAM}/team/app/blobs/${digest}`)).bytes()
        expect(digestOf(blob)).toBe(digest)
        const tar = await collect(decodeLayer(streamOf(blob), LIMITS), 2 ** 20)
        expect(digestOf(tar)).toBe(app.layers[i]?.diffId)
      }
    })
  })

  it('names the forms that are there when none of them can be converted', async () => {
    await using hosts = await openHosts()
    await hosts.registry.pushImage('team/app', '1')
    await carry(hosts, 'team/app:1-estargz')

    await serving(hosts.far, async (get) => {
      const answer = await get(`${UPSTREAM}/team/app/manifests/1-zstd`)
      expect(answer.status).toBe(404)
      const { errors } = (await answer.json()) as { errors: { message: string }[] }
      expect(errors[0]?.message).toMatch(
        /team\/app:1 was not carried as zstd, .*there is 1-estargz; pull that, or carry this one: crossdock export .*team\/app:1-zstd/,
      )
    })
  })

  it('answers a wish that cannot be fulfilled with what there is', async () => {
    await using hosts = await openHosts()
    await hosts.registry.pushImage('team/app', '1')
    await carry(hosts, 'team/app:1-estargz')

    await serving(hosts.far, async (get) => {
      const there = await get(`${UPSTREAM}/team/app/manifests/1-estargz`)
      const wished = await get(`as/zstd/${UPSTREAM}/team/app/manifests/1`)
      expect(wished.status).toBe(200)
      expect(wished.headers.get('crossdock-conversion')).toBe('original; reason=not-carried')
      expect(await wished.bytes()).toEqual(await there.bytes())
    })
  })

  it('does not take a damaged carried layer for the source', async () => {
    await using hosts = await openHosts()
    await hosts.registry.pushImage('team/app', '1')
    await carry(hosts, 'team/app:1-none')

    await serving(hosts.far, async (get) => {
      const none = await get(`${UPSTREAM}/team/app/manifests/1-none`)
      const { layers } = (await none.json()) as { layers: { digest: Digest }[] }
      await harmBlob(join(hosts.far.folder, 'data'), layers[0]?.digest ?? '', async (path) => {
        const bytes = await readFile(path)
        bytes[700] = (bytes[700] ?? 0) ^ 1
        await writeFile(path, bytes)
      })

      const answer = await get(`${UPSTREAM}/team/app/manifests/1-zstd`)
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect((await get(`${UPSTREAM}/team/app/manifests/1-zstd`)).status).toBeGreaterThanOrEqual(
        400,
      )
    })
  })
})

describe('where the upstream has lost a layer', () => {
  it.each(['gone', 'out of reach'])(
    'another form is made of a conversion that is here: %s',
    async (what) => {
      await using hosts = await openHosts()
      const { registry, near } = hosts
      const app = await registry.pushImage('team/app', '1')
      const digest = await staged(hosts, 'team/app:1-zstd')
      const [lost] = app.layers
      await using other = await openHosts()
      await other.near.write('crossdock.yaml', `${await config(near.folder)}`)
      await must(other.near, 'stage', 'team/app:1-none')
      await removeBlob(join(other.near.folder, 'data'), lost?.digest ?? '')
      registry.fault(
        { kind: 'blob', reference: lost?.digest ?? '' },
        { status: what === 'gone' ? 404 : 503 },
      )

      expect(await stagedAt(other.near, 'team/app:1-zstd')).toBe(digest)
    },
  )
})

async function staged(hosts: Hosts, ref: string): Promise<string> {
  return await stagedAt(hosts.near, ref)
}

async function stagedAt(host: Hosts['near'], ref: string): Promise<string> {
  const { out } = await must(host, 'stage', ref, '--json')
  const [{ digest } = { digest: '' }] = JSON.parse(out) as { digest: string }[]
  return digest
}

async function carry(hosts: Hosts, ref: string, ...options: string[]): Promise<void> {
  await must(hosts.near, 'export', ref, '-o', 'b.tar', ...options)
  await must(hosts.far, 'import', join(hosts.near.folder, 'b.tar'))
}

async function config(folder: string): Promise<string> {
  return await readFile(join(folder, 'crossdock.yaml'), 'utf8')
}
