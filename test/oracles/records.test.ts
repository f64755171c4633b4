/** Priority lists end to end: a real registry keeps them, and the format's own library says what comes first. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { must } from '../helpers/bundle-hosts.ts'
import { Workplace } from '../helpers/command.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { getBlob, getManifest } from '../helpers/faults-puller.ts'
import { describeWith, REGISTRY, TOOLS } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { blobPath } from '../helpers/fixtures-store.ts'
import { recordText } from '../helpers/records.ts'

const LISTED = ['usr/bin/perl', 'no/such/file', 'usr/bin/bash', 'etc/debian_version']

describeWith(['registry', 'oracles'], 'priority lists', () => {
  test('of a file, a record image, an eStargz image and a referrer give one order', async () => {
    await using place = await Workplace.create()
    const upstreams = { origin: { url: `http://${REGISTRY}` } }
    await place.write('crossdock.yaml', JSON.stringify({ defaultUpstream: 'origin', upstreams }))
    const file = await place.write('list.json', recordText(...LISTED))
    const records = `crossdock-records-${process.pid}`
    await using crossdock = await startCrossdock({
      config: {
        profiles: {
          'of-file': { format: 'estargz', record: file },
          'of-image': { format: 'estargz', record: `${records}:1` },
          'of-lazy': { format: 'estargz', record: `${records}:lazy` },
        },
      },
    })
    const ofFile = await firstLayer(crossdock, 'debian', '12-of-file')
    expect(ofFile.first.filter((name) => LISTED.includes(name))).toEqual(
      LISTED.filter((name) => ofFile.first.includes(name)),
    )
    expect(ofFile.first).toContain('etc/debian_version')

    await must(place, 'record', 'push', './list.json', `${REGISTRY}/${records}:1`)
    expect((await firstLayer(crossdock, 'debian', '12-of-image')).digest).toBe(ofFile.digest)

    await must(place, 'copy', 'debian:12', `${REGISTRY}/${records}:plain`)
    const plain = `${REGISTRY}/${records}:plain`
    await must(place, 'record', 'push', './list.json', plain, '--attach')
    const attached = await firstLayer(crossdock, records, 'plain-estargz')
    expect(attached.digest).toBe(ofFile.digest)

    await must(place, 'copy', `${records}:plain-estargz`, `${REGISTRY}/${records}:lazy`)
    const copied = await firstLayer(crossdock, 'debian', '12-of-lazy')
    const files = (names: readonly string[]) => names.filter((name) => !name.endsWith('/'))
    expect(files(copied.first)).toEqual(files(ofFile.first))

    await rm(blobPath(crossdock.data, ofFile.digest))
    const again = await getBlob(`${crossdock.url}/v2`, 'debian', { digest: ofFile.digest })
    expect(again.equals(ofFile.bytes)).toBe(true)
  })
})

interface FirstLayer {
  readonly digest: string
  readonly bytes: Buffer
  readonly first: readonly string[]
}

/** The base layer of the image for this machine, and what the library finds before its landmark. */
async function firstLayer(crossdock: Crossdock, name: string, tag: string): Promise<FirstLayer> {
  const base = `${crossdock.url}/v2`
  const top = await getManifest(base, name, tag)
  const child = top.manifests.find(({ platform }) => platform?.architecture === 'amd64')
  const { document } = child ? await getManifest(base, name, child.digest) : top
  const [layer] = document.layers
  if (layer === undefined) throw new Error(`${name}:${tag} has no layer`)
  const bytes = await getBlob(base, name, layer)
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-layer-'))
  try {
    const path = join(folder, 'layer')
    await writeFile(path, bytes)
    await mustRun(join(TOOLS, 'oracle-estargz'), ['check', path])
    const { stdout } = await mustRun(join(TOOLS, 'oracle-estargz'), ['list', path])
    return { digest: layer.digest, bytes, first: stdout.split('\n').filter(Boolean) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
