import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { directoryBlock, directorySize, inBlocks, withDots } from '../../../src/erofs/directory.ts'
import { describeInodeProblem, deviceNumber } from '../../../src/erofs/inode.ts'
import { placeTree } from '../../../src/erofs/placement.ts'
import type { Attributes } from '../../../src/erofs/attributes.ts'
import { Leaves } from '../../../src/erofs/leaves.ts'
import {
  describeXattrProblem,
  hasKnownPrefix,
  writeXattrs,
  xattrCount,
  xattrsSize,
} from '../../../src/erofs/xattrs.ts'
import { childAt, type PlainFolder, treeFrom } from '../../helpers/plain-trees.ts'

const PLAIN: Attributes = {
  ...{ mode: 0o644, uid: 0, gid: 0 },
  ...{ mtime: { seconds: 0, nanos: 0 }, xattrs: new Map() },
}

describe('a directory', () => {
  it('has its dots where their bytes put them', () => {
    expect(withDots(['!a', '-b', 'a'])).toEqual(['!a', '-b', '.', '..', 'a'])
  })

  it('begins each block with its records, and names follow', () => {
    const data = directoryBlock([
      { name: '.', nid: 128, kind: 'dir' },
      { name: 'ab', nid: 2 ** 33, kind: 'reg' },
    ])

    expect(data.toString('hex')).toBe(
      `${'8000000000000000'}1800${'02'}00${'0000000002000000'}1900${'01'}00${'2e6162'}`,
    )
  })

  it('never ends with a full block, nor splits a name over two', () => {
    // 16 names of 12 + 244 bytes are a block.
    const names = Array.from({ length: 16 }, (_, i) => `${i}`.padStart(244, '0'))

    expect(directorySize(names.slice(0, 15), 4096)).toBe(15 * 256)
    expect(directorySize(names, 4096)).toBe(4096 + 256)
    expect(directorySize([...names, 'x'], 4096)).toBe(4096 + 13)
    expect(inBlocks(names, 4096)).toEqual([names.slice(0, 15), names.slice(15)])
  })
})

describe('extended attributes', () => {
  it('are written by name, with a number for the prefix and zeros to a multiple of four', () => {
    const xattrs = new Map([
      ['user.b', Buffer.from('12345')],
      ['security.capability', Buffer.from('c')],
    ])
    const bytes = Buffer.alloc(xattrsSize(xattrs))
    writeXattrs(xattrs, bytes, 0)

    expect(bytes.subarray(12).toString('latin1')).toBe(
      '\x0a\x06\x01\0capabilityc\0\x01\x01\x05\0b12345\0\0',
    )
    expect(xattrCount(bytes.length)).toBe(1 + (bytes.length - 12) / 4)
  })

  it('are of few name spaces', () => {
    const names = ['user.x', 'trusted.x', 'security.x', 'system.posix_acl_access']
    expect(names.filter(hasKnownPrefix)).toEqual(names)
    expect(['system.nfs4_acl', 'system.posix_acl_access2', 'x'].filter(hasKnownPrefix)).toEqual([])
  })

  it('have bounds', () => {
    const problem = (name: string, size: number) =>
      describeXattrProblem(new Map([[name, Buffer.alloc(size)]]))

    expect(problem(`user.${'n'.repeat(255)}`, 65_535)).toBeUndefined()
    expect(problem(`user.${'n'.repeat(256)}`, 0)).toContain('255')
    expect(problem('user.n', 65_536)).toContain('65,535')
  })
})

describe('an inode', () => {
  it('packs numbers of devices as Linux does', () => {
    expect(deviceNumber(300, 70000)).toBe(((70000 & 0xfff00) << 12) | (300 << 8) | (70000 & 0xff))
    expect(deviceNumber(8, 1)).toBe(0x801)
  })

  it('says what it cannot hold', () => {
    const problem = (change: Partial<Attributes>) =>
      describeInodeProblem({ kind: 'fifo', attributes: { ...PLAIN, ...change } })

    expect(problem({ uid: 0xffffffff })).toBeUndefined()
    expect(problem({ uid: 2 ** 32 })).toContain('owner')
    expect(problem({ gid: -1 })).toContain('owner')
    expect(problem({ mtime: { seconds: 2 ** 52, nanos: 0 } })).toContain('time')
  })
})

const anyFolder: fc.Arbitrary<PlainFolder> = fc.letrec<{
  folder: PlainFolder
  node: PlainFolder[string]
}>((tie) => ({
  folder: fc.dictionary(
    fc.string({ minLength: 1, maxLength: 200 }).filter((name) => name !== 'kind'),
    tie('node'),
    { maxKeys: 40 },
  ),
  node: fc.oneof(
    { depthSize: 'small' },
    fc.nat(3000).map((content) => ({ kind: 'reg', attributes: PLAIN, size: 1, content }) as const),
    fc
      .nat(9000)
      .map((size) => ({ kind: 'symlink', attributes: PLAIN, target: 't'.repeat(size) }) as const),
    tie('folder'),
  ),
})).folder

describe('placeTree', () => {
  it('places everything in order, apart, and inline data in one block with its inode', async () => {
    await fc.assert(
      fc.asyncProperty(anyFolder, async (root) => {
        const placement = await placeTree(treeFrom(root, PLAIN), {
          blockSize: 4096,
          chunksOf: (count) => count,
        })
        let end = 4096
        for (const { at, layout, blocksAt, size: dataSize, node } of placement.placed()) {
          expect(at).toBeGreaterThanOrEqual(end)
          expect(at % 32).toBe(0)
          const tail = layout === 'inline' ? dataSize % 4096 : 0
          if (tail > 0) expect(Math.floor(at / 4096)).toBe(Math.floor((at + 63 + tail) / 4096))
          end = at + 64 + tail + (node.kind === 'reg' ? node.content * 8 : 0)
          if (blocksAt === 0) continue
          expect(blocksAt % 4096).toBe(0)
          expect(blocksAt).toBeGreaterThanOrEqual(end)
          end = blocksAt + dataSize - tail
        }
        expect(placement.size).toBeGreaterThanOrEqual(end)
        expect(placement.size % 4096).toBe(0)
      }),
      { numRuns: 50 },
    )
  })

  it('counts names of files and folders in folders', async () => {
    const file = { kind: 'reg', attributes: PLAIN, size: 0, content: 0 } as const
    const tree = treeFrom({ a: file, b: file, c: { d: file }, e: {} }, PLAIN)
    const placement = await placeTree(tree, { blockSize: 4096, chunksOf: () => 0 })

    expect(placement.root.links).toBe(4)
    expect([...placement.placed()].map(({ node, links }) => [node.kind, links])).toEqual([
      ['dir', 4],
      ['reg', 3],
      ['dir', 2],
      ['dir', 2],
    ])
    expect(placement.find(childAt(tree, 'c', 'd') ?? -1)).toEqual(
      placement.find(childAt(tree, 'a') ?? -1),
    )
  })
})

describe('leaves', () => {
  it('are what they were when they come out again', () => {
    const attributes = { ...PLAIN, mode: 0o4755, mtime: { seconds: -1, nanos: 999_999_999 } }
    const all = [
      { kind: 'reg', attributes: PLAIN, size: 2 ** 53 - 1, content: 2 ** 32 - 1 },
      { kind: 'symlink', attributes, target: 'caf\xe9' },
      { kind: 'char', attributes, major: 0xfff, minor: 0xfffff },
      { kind: 'block', attributes: PLAIN, major: 8, minor: 1 },
      { kind: 'fifo', attributes: PLAIN },
    ] as const
    const leaves = new Leaves()
    const numbers = all.map((leaf) => leaves.add(leaf))

    expect(numbers.map((number) => leaves.get(number))).toEqual(all)
    expect(numbers.map((number) => leaves.kindOf(number))).toEqual(all.map(({ kind }) => kind))
    expect(() => leaves.get(all.length)).toThrow(RangeError)
  })
})
