/** `crossdock record`: from a conversion to a file to a registry and back. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { must, openHosts } from '../helpers/bundle-hosts.ts'
import { FakePushRegistry } from '../helpers/fake-push-registry.ts'
import { isSharedPair } from '../helpers/pair.ts'
import { FILES, recordImage, recordText } from '../helpers/records.ts'
import { leaveBlob } from '../helpers/stored.ts'

/** With a store: who only looks makes one on a disk, and none on S3. */
async function openStores() {
  const hosts = await openHosts()
  const bytes = Buffer.from('a store')
  if (isSharedPair) await leaveBlob(join(hosts.near.folder, 'data'), digestOf(bytes), bytes)
  return hosts
}

describe('crossdock record', () => {
  test('shows and exports what comes first, with source and layer', async () => {
    await using hosts = await openStores()
    const { registry, near } = hosts
    const source = await registry.pushImage('team/app', '1', { layers: [{ files: FILES }, {}] })
    registry.push('team/app', '1.record', await recordImage('z', 'bin/tool', 'missing'))

    const shown = await must(near, 'record', 'show', 'team/app:1-estargz', '--json')
    const shownAgain = await must(near, 'record', 'show', 'team/app:1-estargz')
    await must(near, 'record', 'export', 'team/app:1-estargz', '-o', 'out.json')
    const record = await must(near, 'record', 'show', 'team/app:1.record')

    expect(shown.err).toMatch(
      /^registry\.example\/team\/app:1-estargz is not converted yet; converting it, .*\n.* 2 blobs, /,
    )
    expect(shownAgain.err).toBe('')
    expect(shownAgain.out).toMatch(/ eStargz image\nlayer 0: 2 files\n/)
    expect(JSON.parse(shown.out)).toMatchObject({
      kind: 'estargz',
      layers: [
        { layerIndex: 0, paths: ['z', 'bin/tool'] },
        { layerIndex: 1, paths: [] },
      ],
    })
    const lines = (await readFile(join(near.folder, 'out.json'), 'utf8')).trim().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { path: 'z', manifestDigest: source.digest, layerIndex: 0 },
      { path: 'bin/tool', manifestDigest: source.digest, layerIndex: 0 },
    ])
    expect(record.out).toMatch(/ record\nany layer: 3 files\n {2}z\n {2}bin\/tool\n {2}missing\n$/)
  })

  test.each([true, false])('pushes a file, or attaches it (API: %s)', async (knowsSubjects) => {
    await using hosts = await openStores()
    await using target = await FakePushRegistry.start()
    target.knowsSubjects = knowsSubjects
    const { registry, near } = hosts
    const app = await registry.pushImage('team/app', '1')
    await near.write('list.json', recordText('z', 'a'))
    await must(near, 'copy', 'team/app:1', `${target.host}/team/app:1`)

    const plain = await must(
      near,
      'record',
      'push',
      'list.json',
      `${target.host}/lists:1`,
      '--json',
    )
    const attached = await must(
      ...([
        near,
        'record',
        'push',
        './list.json',
        `${target.host}/team/app:1`,
        '--attach',
        '--json',
      ] as const),
    )

    const { digest } = JSON.parse(plain.out) as { digest: string }
    const image = target.manifests.get('lists 1') ?? Buffer.alloc(0)
    expect(digestOf(image)).toBe(digest)
    const { layers } = JSON.parse(image.toString()) as { layers: { digest: string }[] }
    expect(target.blobs.has(`lists ${layers[0]?.digest}`)).toBe(true)
    const referrer: string = JSON.parse(attached.out).digest
    expect(
      JSON.parse(target.manifests.get(`team/app ${referrer}`)?.toString() ?? '{}'),
    ).toMatchObject({
      artifactType: 'application/vnd.crossdock.record.v1',
      subject: { digest: app.digest, size: app.bytes.byteLength, mediaType: app.mediaType },
    })
    const listed = target.manifests.get(`team/app ${app.digest.replace(':', '-')}`)
    expect(listed?.toString().includes(referrer) ?? false).toBe(!knowsSubjects)
  })

  test.each(['zstd', 'zstdchunked'])(
    'says that %s has no list before anything is converted',
    async (profile) => {
      await using hosts = await openStores()
      await hosts.registry.pushImage('team/app', '1', { layers: 2 })

      const shown = await hosts.near.run('record', 'show', `team/app:1-${profile}`)

      expect(shown).toMatchObject({ code: 1, err: expect.stringMatching(/has no priority list: /) })
      expect(shown.err.trimEnd()).not.toContain('\n')
      expect(hosts.registry.count({ kind: 'blob', name: 'team/app', method: 'GET' })).toBe(0)
    },
  )

  test('says what is wrong with a target, an empty list and an ordinary image', async () => {
    await using hosts = await openStores()
    const { registry, near } = hosts
    await registry.pushImage('team/app', '1', { layers: 2 })
    await near.write('empty.json', '\n')

    expect(await near.run('record', 'push', './empty.json', 'lists:1')).toMatchObject({ code: 2 })
    const empty = await near.run('record', 'push', './empty.json', 'localhost:1/lists:1')
    expect(empty).toMatchObject({ code: 1, err: expect.stringMatching(/lists no files/) })
    const plain = await near.run('record', 'show', 'team/app:1')
    expect(plain).toMatchObject({ code: 1, err: expect.stringMatching(/has no priority list/) })
  })
})
