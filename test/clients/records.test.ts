/** Priority lists end to end: a real registry keeps them, and the format's own library says what comes first. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { getBlob, getManifest } from '../helpers/faults-puller.ts'
import { describeWith, REGISTRY, ROOT, TOOLS } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { blobPath } from '../helpers/fixtures-store.ts'
import { recordText } from '../helpers/records.ts'

const LISTED = ['usr/bin/perl', 'no/such/file', 'usr/bin/bash', 'etc/debian_version']

describeWith(['registry', 'oracles'], 'priority lists', () => {
  test('of a file, a record image, an eStargz image and a referrer give one order', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-records-'))
    const records = `crossdock-records-${process.pid}`
    try {
      await writeFile(join(folder, 'list.json'), recordText(...LISTED))
      await using crossdock = await startCrossdock({
        config: {
          profiles: {
            'of-file': { format: 'estargz', record: join(folder, 'list.json') },
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

      await command(folder, 'record', 'push', './list.json', `${REGISTRY}/${records}:1`)
      expect((await firstLayer(crossdock, 'debian', '12-of-image')).digest).toBe(ofFile.digest)

      await command(folder, 'copy', 'debian:12', `${REGISTRY}/${records}:plain`)
      await command(
        ...([
          folder,
          'record',
          'push',
          './list.json',
          `${REGISTRY}/${records}:plain`,
          '--attach',
        ] as const),
      )
      const attached = await firstLayer(crossdock, records, 'plain-estargz')
      expect(attached.digest).toBe(ofFile.digest)

      await command(folder, 'copy', `${records}:plain-estargz`, `${REGISTRY}/${records}:lazy`)
      const copied = await firstLayer(crossdock, 'debian', '12-of-lazy')
      const files = (names: readonly string[]) => names.filter((name) => !name.endsWith('/'))
      expect(files(copied.first)).toEqual(files(ofFile.first))

      await rm(blobPath(crossdock.data, ofFile.digest))
      const again = await getBlob(`${crossdock.url}/v2`, 'debian', { digest: ofFile.digest })
      expect(again.equals(ofFile.bytes)).toBe(true)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
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

async function command(folder: string, ...args: readonly string[]): Promise<void> {
  const config = join(folder, 'crossdock.yaml')
  const upstreams = { origin: { url: `http://${REGISTRY}` } }
  await writeFile(config, JSON.stringify({ defaultUpstream: 'origin', upstreams }))
  const paths = args.map((arg) => (arg.startsWith('./') ? join(folder, arg) : arg))
  await mustRun(process.execPath, [
    ...[join(ROOT, 'src/main.ts'), ...paths],
    ...['--config', config, '--data', join(folder, 'data')],
  ])
}
