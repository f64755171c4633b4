/** Folders, archives and lists that were made to do harm: what is read of them is theirs alone, and bounded. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Entry } from '../../../src/bundle/entry.ts'
import { findFile, readFolder } from '../../../src/bundle/folder-files.ts'
import { openBundle } from '../../../src/bundle/input-files.ts'
import { openLayoutImage } from '../../../src/bundle/layout-folder.ts'
import { collect } from '../../../src/lib/streams.ts'
import { digestOf, hexOf } from '../../../src/oci/digest.ts'

let base: string
let folder: string

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'crossdock-hostile-'))
  folder = join(base, 'bundle')
  await mkdir(join(folder, 'blobs'), { recursive: true })
  await writeFile(join(base, 'secret'), 'of the machine')
})

afterEach(() => rm(base, { recursive: true, force: true }))

describe('a folder with links', () => {
  it('to itself is walked once', async () => {
    await writeFile(join(folder, 'blobs', 'a'), 'x')
    for (let i = 0; i < 50; i += 1) await symlink('.', join(folder, `again${i}`))

    expect(await namesIn(folder)).toEqual(['blobs/a'])
  })

  it('out of it is not followed, to a file or to a folder', async () => {
    await symlink('/', join(folder, 'root'))
    await symlink('..', join(folder, 'above'))
    await symlink(join(base, 'secret'), join(folder, 'absolute'))
    await symlink('../secret', join(folder, 'index.json'))
    await symlink('../above/secret', join(folder, 'blobs', 'through'))
    await symlink('nowhere', join(folder, 'dangling'))
    await symlink('loop', join(folder, 'loop'))

    expect(await namesIn(folder)).toEqual([])
    for (const name of ['root/etc/passwd', 'above/secret', 'absolute', 'index.json', '../secret']) {
      expect(await findFile(folder, name)).toBeUndefined()
    }
  })

  it('within it has the file under both names', async () => {
    await writeFile(join(folder, 'blobs', 'a'), 'content')
    await symlink('a', join(folder, 'blobs', 'b'))
    await symlink('blobs/a', join(folder, 'index.json'))
    await symlink(folder, join(base, 'by-another-name'))

    const found = await entriesOf(readFolder(join(base, 'by-another-name')))

    expect(found).toEqual([
      { kind: 'file', name: 'blobs/a' },
      { kind: 'link', name: 'blobs/b', target: 'blobs/a' },
      { kind: 'file', name: 'index.json' },
    ])
    const linked = await findFile(folder, 'blobs/b')
    expect(linked && Buffer.from(await collect(linked.read(), 100)).toString()).toBe('content')
  })

  it('as a layout gives nothing that lies elsewhere', async () => {
    const secret = Buffer.from('of the machine')
    const digest = digestOf(secret)
    await mkdir(join(folder, 'blobs', 'sha256'))
    await symlink(join(base, 'secret'), join(folder, 'blobs', 'sha256', hexOf(digest)))
    const manifests = [{ mediaType: 'x', digest, size: 1 }]
    await writeFile(join(folder, 'index.json'), JSON.stringify({ manifests }))

    const input = await openLayoutImage(folder, undefined)
    const names = (await entriesOf(input.entries())).map(({ name }) => name)
    expect(names).toEqual(['oci-layout', 'index.json'])
  })
})

describe('volumes', () => {
  it('are those of the bundle alone, whatever their list names', async () => {
    await writeFile(join(folder, 'b.tar.001'), 'one')
    const zero = '0'.repeat(64)
    const lines = ['../secret', '/etc/passwd', 'other', 'b.tar.001', 'b.tar.x', '../b.tar.002']
    await writeFile(
      join(folder, 'b.tar.sha256'),
      lines.map((name) => `${zero}  ${name}\n`).join(''),
    )

    const input = await openBundle(join(folder, 'b.tar'))

    await expect(input.explain()).rejects.toThrow(/volume 1 of 1, .*b\.tar\.001, is damaged/)
  })

  it('that are links to another folder are refused', async () => {
    await symlink('../secret', join(folder, 'b.tar.001'))

    await expect(openBundle(join(folder, 'b.tar'))).rejects.toThrow(/is a link to another folder/)
  })
})

async function namesIn(root: string): Promise<string[]> {
  return (await entriesOf(readFolder(root))).map(({ name }) => name)
}

async function entriesOf(entries: AsyncIterable<Entry>): Promise<{ readonly name: string }[]> {
  const found: { readonly kind: string; readonly name: string; readonly target?: string }[] = []
  for await (const one of entries) {
    const { kind, name } = one
    found.push(one.kind === 'link' ? { kind, name, target: one.target } : { kind, name })
  }
  return found
}
