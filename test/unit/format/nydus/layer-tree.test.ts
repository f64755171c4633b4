import { describe, expect, it } from 'vitest'
import type { Folder } from '../../../../src/erofs/tree.ts'
import { LayerRefusedError } from '../../../../src/format/format.ts'
import { type LayerTree, LayerTreeBuilder } from '../../../../src/format/nydus/layer-tree.ts'
import { AmbiguousTarError } from '../../../../src/tar/entry.ts'
import { readTar } from '../../../../src/tar/reader.ts'
import { chunked } from '../../../helpers/bytes.ts'
import { childAt } from '../../../helpers/plain-trees.ts'
import { type TarItem, tarOf } from '../../../helpers/tars.ts'

const FILE: TarItem = { name: 'file', body: Buffer.from('1') }

async function treeOf(...items: TarItem[]): Promise<LayerTree> {
  const builder = new LayerTreeBuilder()
  for await (const event of readTar(chunked(tarOf(...items), [1e9]))) {
    if (event.kind === 'entry') builder.add(event.entry)
  }
  return builder.finish()
}

/** Paths, with what makes them one file or another. */
function shape({ root, leaves }: LayerTree): Record<string, string> {
  const found: Record<string, string> = {}
  const visit = (folder: Folder, path: string) => {
    for (const [name, child] of folder.children) {
      const node = typeof child === 'object' ? child : leaves.get(child)
      found[`${path}${name}`] = `${node.kind} ${node.attributes.mode.toString(8)}`
      if (typeof child === 'object') visit(child, `${path}${name}/`)
    }
  }
  visit(root, '')
  return found
}

describe('the tree of a layer', () => {
  it('has folders that nobody describes, and knows them', async () => {
    const tree = await treeOf({ name: 'a/b/c' }, { name: 'a/', type: '5', mode: 0o700 })

    expect(shape(tree)).toEqual({ a: 'dir 700', 'a/b': 'dir 755', 'a/b/c': 'reg 644' })
    expect([...tree.implied]).toEqual([tree.root, childAt(tree, 'a', 'b')])
  })

  it('has what comes last under a name, and folders keep what is in them', async () => {
    const tree = await treeOf(
      { name: 'd/f' },
      { name: 'd', type: '5', mode: 0o711 },
      { name: 'f', type: '2', link: 'x' },
      { name: 'f', mode: 0o600 },
      { name: 'd2/x' },
      { name: 'd2' },
    )

    expect(shape(tree)).toEqual({
      d: 'dir 711',
      'd/f': 'reg 644',
      f: 'reg 600',
      d2: 'reg 644',
    })
  })

  it('follows its own symlinks, which do not lead out of it', async () => {
    const tree = await treeOf(
      { name: 'real/', type: '5' },
      { name: 'alias', type: '2', link: 'real' },
      { name: 'out', type: '2', link: '../../tmp' },
      { name: 'alias/f' },
      { name: 'out/g' },
      { name: 'hard', type: '1', link: 'alias/f' },
    )

    expect(Object.keys(shape(tree)).sort()).toEqual(
      ['alias', 'hard', 'out', 'real', 'real/f', 'tmp', 'tmp/g'].sort(),
    )
    expect(childAt(tree, 'hard')).toBe(childAt(tree, 'real', 'f'))
  })

  it('has one file for all hard links, whatever becomes of the first name', async () => {
    const tree = await treeOf(
      FILE,
      { name: 'b', type: '1', link: './file' },
      { name: 'c', type: '1', link: 'b' },
      { ...FILE, mode: 0o600 },
    )

    expect(childAt(tree, 'b')).toBe(childAt(tree, 'c'))
    expect(childAt(tree, 'b')).not.toBe(childAt(tree, 'file'))
  })

  it('keeps hard links to lower layers for those who have them', async () => {
    const tree = await treeOf(
      { name: 'd/a', type: '1', link: 'low/file' },
      { name: 'b', type: '1', link: 'd/a' },
      { name: 'gone/x', type: '1', link: 'low/file' },
      { name: 'gone' },
    )

    expect(tree.lowerLinks).toEqual(
      new Map([
        ['d/a', 'low/file'],
        ['b', 'low/file'],
      ]),
    )
    expect(Object.keys(shape(tree))).toEqual(['d', 'gone'])
  })

  it('counts the extended attributes that RAFS cannot hold', async () => {
    const pax = { 'SCHILY.xattr.system.nfs4_acl': 'x', 'SCHILY.xattr.user.k': 'v' }
    const tree = await treeOf({ name: 'a', pax }, { name: 'b', pax })

    expect(tree.dropped).toEqual(new Map([['system.nfs4_acl', 2]]))
    const a = childAt(tree, 'a')
    expect(typeof a === 'number' && tree.leaves.get(a).attributes.xattrs).toEqual(
      new Map([['user.k', Buffer.from('v')]]),
    )
  })

  it('has names of any bytes', async () => {
    const tree = await treeOf({ name: 'caf\xe9' }, { name: 'x', pax: { path: 'größe' } })

    expect([...tree.root.children.keys()]).toEqual([
      'caf\xe9',
      Buffer.from('größe').toString('latin1'),
    ])
  })

  it.each<[string, TarItem[]]>([
    ['a file below a file', [FILE, { name: 'file/x' }]],
    ['a loop of symlinks', [{ name: 'l', type: '2', link: 'l' }, { name: 'l/x' }]],
    [
      'a hard link to a folder',
      [
        { name: 'd', type: '5' },
        { name: 'h', type: '1', link: 'd' },
      ],
    ],
    ['a hard link to what comes later', [{ name: 'h', type: '1', link: 'file' }, FILE]],
    ['a whiteout of the folder above', [{ name: 'd/.wh...' }]],
    ['a whiteout of nothing', [{ name: '.wh.' }]],
    ['a root that is a file', [{ name: './', type: '2', link: 'x' }]],
    [
      'a global header that renames',
      [{ name: 'g', type: 'g', pax: {}, body: Buffer.from('9 path=x\n') }],
    ],
  ])('is refused where readers differ: %s', async (_, items) => {
    await expect(treeOf(...items)).rejects.toThrow(AmbiguousTarError)
  })

  it.each<[string, TarItem]>([
    ['a long name', { name: 'x', pax: { path: 'n'.repeat(256) } }],
    ['a long name on the way', { name: 'x', pax: { path: `${'n'.repeat(256)}/x` } }],
    ['a large attribute', { name: 'x', pax: { 'SCHILY.xattr.user.k': 'v'.repeat(65_536) } }],
    ['an owner beyond 32 bits', { name: 'x', pax: { uid: '4294967296' } }],
    ['an empty symlink', { name: 'x', type: '2' }],
    ['a device of a large number', { name: 'x', type: '3', device: [0o10000, 0] }],
  ])('is refused where RAFS cannot hold it: %s', async (_, item) => {
    await expect(treeOf(item)).rejects.toThrow(LayerRefusedError)
  })
})
