/** Priority lists across an air gap: sources that are converted behind it come out as on the near side. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import {
  FAR_CONFIG,
  type Hosts,
  must,
  nearConfig,
  openHosts,
  serving,
  UPSTREAM,
} from '../helpers/bundle-hosts.ts'
import type { Workplace } from '../helpers/command.ts'
import { FILES, recordImage, recordReferrer, recordText } from '../helpers/records.ts'
import { loseCatalog, refillCatalog, removeBlob } from '../helpers/stored.ts'

/** The same on both sides, but what they name is on the near side alone. */
const PROFILES = `
profiles:
  of-file: { format: estargz, record: ./first.json }
  of-image: { format: estargz, record: ${UPSTREAM}/records/web:1 }
rules:
  - { match: ${UPSTREAM}/ruled/*, record: ./first.json }
`

let hosts: Hosts

beforeEach(async () => {
  hosts = await openHosts()
  const { registry, near, far } = hosts
  await near.write('crossdock.yaml', `${nearConfig(registry.url)}${PROFILES}`)
  await near.write('first.json', recordText('z', 'bin/tool'))
  await far.write('crossdock.yaml', `${FAR_CONFIG}${PROFILES}`)
  registry.push('records/web', '1', await recordImage('b'))
})

afterEach(() => hosts[Symbol.asyncDispose]())

async function stagedOn(host: Workplace, reference: string): Promise<string> {
  const { out } = await must(host, 'stage', reference, '--json')
  const [{ digest } = { digest: '' }] = JSON.parse(out) as { digest: string }[]
  return digest
}

/** What the far side makes of a tag out of its sources. */
async function convertedOnFar(name: string, tag: string): Promise<string> {
  return await serving(hosts.far, async (get) => {
    const answer = await get(`${UPSTREAM}/${name}/manifests/${tag}`)
    const bytes = await answer.bytes()
    expect(answer.headers.get('crossdock-conversion'), Buffer.from(bytes).toString()).toMatch(
      /^converted/,
    )
    expect(answer.headers.get('warning')).toBe(null)
    return digestOf(bytes)
  })
}

async function carry(...args: readonly string[]): Promise<void> {
  await must(hosts.near, 'export', ...args, '-o', 'b.tar')
  await must(hosts.far, 'import', join(hosts.near.folder, 'b.tar'))
}

it.each(['of-file', 'of-image'])(
  'sources alone are converted behind the gap as on the near side: %s',
  async (profile) => {
    await hosts.registry.pushImage('team/web', '1', { layers: [{ files: FILES }] })
    const near = await stagedOn(hosts.near, `team/web:1-${profile}`)
    const plain = await stagedOn(hosts.near, 'team/web:1-estargz')

    await carry('team/web:1')

    expect(await convertedOnFar('team/web', `1-${profile}`)).toBe(near)
    expect(near).not.toBe(plain)
    expect(await convertedOnFar('team/web', '1-estargz')).toBe(plain)
  },
)

it('lists go along that nobody has asked for yet on the near side', async () => {
  await hosts.registry.pushIndex('team/web', '1', { layers: [{ files: FILES }] })
  await carry('team/web:1')

  const near = await stagedOn(hosts.near, 'team/web:1-of-file')
  expect(await convertedOnFar('team/web', '1-of-file')).toBe(near)
})

it.each(['a rule', 'a tag beside the image', 'a referrer'])(
  'a list of %s is taken along',
  async (where) => {
    const { registry, near } = hosts
    const name = where === 'a rule' ? 'ruled/web' : 'team/web'
    const source = await registry.pushImage(name, '1', { layers: [{ files: FILES }] })
    if (where === 'a tag beside the image') {
      registry.push(name, '1.record', await recordImage('z', 'b'))
    } else if (where === 'a referrer') {
      registry.push(name, undefined, await recordReferrer(source, ['z', 'b']))
    }
    const wanted = await stagedOn(near, `${name}:1-estargz`)

    await carry(`${name}:1`)

    expect(await convertedOnFar(name, '1-estargz')).toBe(wanted)
  },
)

it('a layer that was evicted behind the gap is made again with the list that came along', async () => {
  await hosts.registry.pushImage('team/web', '1', { layers: [{ files: FILES }] })
  await carry('team/web:1-of-file', '--with-sources')
  const { far } = hosts
  await serving(far, async (get) => {
    const answer = await get(`${UPSTREAM}/team/web/manifests/1-of-file`)
    expect(answer.headers.get('crossdock-conversion')).toBe('hit')
    const { layers } = (await answer.json()) as { layers: { digest: string }[] }
    const digest = layers[0]?.digest ?? ''
    await removeBlob(join(far.folder, 'data'), digest)

    const blob = await get(`${UPSTREAM}/team/web/blobs/${digest}`)

    expect(digestOf(await blob.bytes())).toBe(digest)
  })
})

it('the lists survive the loss of the far catalog, and a tag that is imported again', async () => {
  await hosts.registry.pushImage('team/web', '1', { layers: [{ files: FILES }] })
  const near = await stagedOn(hosts.near, 'team/web:1-of-file')
  await carry('team/web:1')
  await carry('team/web:1')
  await loseCatalog(join(hosts.far.folder, 'data'))
  await refillCatalog(join(hosts.far.folder, 'data'))
  await must(hosts.far, 'gc')

  expect(await convertedOnFar('team/web', '1-of-file')).toBe(near)
})

it('a list that the far side has itself wins', async () => {
  await hosts.registry.pushImage('team/web', '1', { layers: [{ files: FILES }] })
  await carry('team/web:1')
  await hosts.far.write('first.json', recordText('a'))
  await hosts.near.write('first.json', recordText('a'))

  expect(await convertedOnFar('team/web', '1-of-file')).toBe(
    await stagedOn(hosts.near, 'team/web:1-of-file'),
  )
})

it('a list that cannot be had is warned about, and the sources go without it', async () => {
  await hosts.registry.pushImage('team/web', '1', { layers: [{ files: FILES }] })
  await rm(join(hosts.near.folder, 'first.json'))

  const { err } = await must(hosts.near, 'export', 'team/web:1', '-o', 'b.tar')

  expect(err).toMatch(/warning: .*team\/web:1 goes without a priority list: .*first\.json/)
  await must(hosts.far, 'import', join(hosts.near.folder, 'b.tar'))
})

it('the same lists give the same bundle, and none change nothing', async () => {
  await hosts.registry.pushImage('team/web', '1', { layers: [{ files: FILES }] })
  await must(hosts.near, 'export', 'team/web:1', '-o', 'one.tar')
  await stagedOn(hosts.near, 'team/web:1-of-image')
  await must(hosts.near, 'export', 'team/web:1', '-o', 'two.tar')

  const [one, two] = await Promise.all(
    ['one.tar', 'two.tar'].map((name) => readFile(join(hosts.near.folder, name))),
  )
  expect(two?.equals(one ?? Buffer.alloc(0))).toBe(true)
})
