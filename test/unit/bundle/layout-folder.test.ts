import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLayoutImage } from '../../../src/bundle/layout-folder.ts'
import { type Digest, digestOf, hexOf } from '../../../src/oci/digest.ts'
import { OCI_INDEX } from '../../helpers/manifest-documents.ts'

describe('an image of a layout in a folder', () => {
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-layout-'))
    await mkdir(join(folder, 'blobs', 'sha256'), { recursive: true })
  })

  afterEach(() => rm(folder, { recursive: true, force: true }))

  async function put(document: unknown): Promise<Digest> {
    const bytes = Buffer.from(JSON.stringify(document))
    const digest = digestOf(bytes)
    await writeFile(join(folder, 'blobs', 'sha256', hexOf(digest)), bytes)
    return digest
  }

  async function blobsOf(...roots: readonly Digest[]): Promise<string[]> {
    const manifests = roots.map((digest, i) => ({
      ...{ mediaType: OCI_INDEX, digest, size: 1 },
      annotations: { 'org.opencontainers.image.ref.name': `v${i}` },
    }))
    await writeFile(join(folder, 'index.json'), JSON.stringify({ manifests }))
    const names: string[] = []
    for await (const { name } of (await openLayoutImage(folder, 'v0')).entries()) names.push(name)
    return names.filter((name) => name.startsWith('blobs/'))
  }

  it.each([
    null,
    5,
    [[]],
    { manifests: [null] },
    { manifests: 'x', layers: {} },
    { manifests: [{ digest: 7 }], config: 'x', layers: [null, 3], subject: null },
    { layers: 5, subject: [] },
  ])('is opened whatever its documents look like: %j', async (document) => {
    const root = await put(document)
    const other = await put({ of: 'another root', subject: { digest: null } })

    await expect(blobsOf(root, other)).resolves.toEqual([`blobs/sha256/${hexOf(root)}`])
  })

  it('is read no deeper than an import looks', async () => {
    let digest = await put({ manifests: [] })
    for (let depth = 0; depth < 2000; depth += 1) digest = await put({ manifests: [{ digest }] })

    expect((await blobsOf(digest)).length).toBeLessThan(10)
  })

  it('is not looked for in an index.json without bounds', async () => {
    await writeFile(join(folder, 'index.json'), '{}')
    await truncate(join(folder, 'index.json'), 2 ** 40)

    await expect(openLayoutImage(folder, 'v0')).rejects.toMatchObject({ kind: 'badSize' })
  })
})
