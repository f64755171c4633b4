import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LayerRefusedError } from '../../../../src/format/format.ts'
import { Leaves } from '../../../../src/erofs/leaves.ts'
import { Contents } from '../../../../src/format/nydus/contents.ts'
import { encodeLayerRecord, openLayerRecord } from '../../../../src/format/nydus/layer-record.ts'
import { digestOf } from '../../../../src/oci/digest.ts'
import { seededBytes, seededText } from '../../../helpers/bytes.ts'
import { encode, type Form, makeImage, treeOf } from '../../../helpers/nydus-images.ts'
import { plainOf } from '../../../helpers/plain-trees.ts'
import type { RafsFile } from '../../../helpers/rafs.ts'
import { anyTar, richTar, type TarItem, tarOf } from '../../../helpers/tars.ts'

const FORMS: readonly Form[] = ['zstd', 'none', 'ref']
const DIR = (name: string, mode = 0o755): TarItem => ({ name, type: '5', mode })
const FILE = (name: string, text = name): TarItem => ({ name, body: Buffer.from(text) })

async function merged(...layers: TarItem[][]): Promise<readonly RafsFile[]> {
  return (
    await makeImage(
      layers.map((items) => tarOf(...items)),
      'none',
    )
  ).files
}

const pathsOf = (files: readonly RafsFile[]) => files.map(({ path }) => path)
const fileAt = (files: readonly RafsFile[], path: string) => files.find((one) => one.path === path)

describe('an image of one layer', () => {
  it.each(FORMS)('holds everything of its tar: %s', async (form) => {
    const { files } = await makeImage([richTar()], form)

    expect(files).toMatchObject([
      { path: '/', mode: '40755', links: 10 },
      ...['bin', 'bin/alias', 'bin/alias2', 'bin/link', 'bin/tool'].map((one) => ({
        path: `/${one}`,
      })),
      { path: '/deep' },
      ...Array.from({ length: 39 }, (_, i) => ({ path: `/deep${'/deep'.repeat(i + 1)}` })),
      { mtime: 1_700_000_000, xattrs: { 'user.k': '\0\xff\n' }, content: 'pax\n' },
      ...['dev', 'dev/disk', 'dev/null', 'etc', 'etc/empty', 'etc/hello.txt', 'gnu'].map((one) => ({
        path: `/${one}`,
      })),
      { content: 'gnu\n' },
      { path: '/holes' },
      { path: '/large', content: seededBytes(700_000, 'large').toString('latin1') },
      { path: '/names' },
      { content: 'utf-8\n' },
      ...['opt', 'run', 'run/pipe', 'z', 'zeros'].map((one) => ({ path: `/${one}` })),
    ])
    expect(fileAt(files, '/bin/tool')).toMatchObject({ mode: '104755', links: 3 })
    expect(fileAt(files, '/bin/alias2')?.nid).toBe(fileAt(files, '/bin/tool')?.nid)
    expect(fileAt(files, '/bin/link')).toMatchObject({ mode: '120644', target: '../etc/hello.txt' })
    expect(fileAt(files, '/dev/disk')).toMatchObject({ mode: '60644', rdev: 0x801 })
    expect(fileAt(files, '/run/pipe')).toMatchObject({ mode: '10644', rdev: 0 })
    expect(fileAt(files, '/etc/empty')).toMatchObject({ mode: '100600', content: '' })
  })

  it.each(FORMS)('is the same for any pieces of input: %s', async (form) => {
    await fc.assert(
      fc.asyncProperty(
        anyTar,
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 5 }),
        async (tar, sizes) => {
          const source = form === 'ref' ? gzipSync(tar) : tar
          expect(await encode(source, form, sizes)).toEqual(await encode(source, form))
        },
      ),
      { numRuns: 15 },
    )
  })

  // When one of these changes, raise the encoding's revision: what is in stores was made with the old bytes.
  it.each<[Form, string]>([
    ['zstd', 'sha256:e2543eea438630cc44ca6c463080fd7be0ccca15c8ea08268d9a93ce61a058ae'],
    ['none', 'sha256:27d62e0c8eda83789b1a57e8d5b431654962c392a0a49b1b1e2143888843cfc0'],
  ])('writes for revision 1 what it always wrote: %s', async (form, digest) => {
    expect(digestOf(await encode(richTar(), form))).toBe(digest)
  })

  it('stores equal chunks once, and what does not shrink as it is', async () => {
    const noise = seededBytes(1_500_000, 'noise')
    const files = [FILE('a', 'x'), { name: 'b', body: noise }, { name: 'c', body: noise }]
    const { boot, layers } = await makeImage([tarOf(...files)], 'zstd')

    const [{ blob } = { blob: undefined }] = layers
    expect(blob?.chunks.count).toBe(3)
    expect(blob?.chunks.storedSizeAt(1)).toBe(1024 * 1024)
    expect(boot.readUInt32LE(1168)).toBe(256)
  })

  it('has no blob when its files have no bytes', async () => {
    const { boot, layers } = await makeImage([tarOf(DIR('d/'), FILE('empty', ''))], 'zstd')

    expect(layers[0]?.blob).toBeUndefined()
    expect(boot.readUInt16LE(1024 + 86)).toBe(0)
  })
})

describe('slices of a gzip layer', () => {
  it('give every chunk, however the layer was compressed', async () => {
    const text = (seed: string) => seededText(300_000, seed)
    const body = Buffer.concat([text('a'), Buffer.alloc(3_000_000), text('b')])
    const small = Array.from({ length: 100 }, (_, i) => FILE(`s${i}`, `small ${i} `.repeat(i)))
    const tar = tarOf({ name: 'large', body }, ...small, FILE('s1'), { name: 'again', body })
    const { files, layers } = await makeImage([tar], 'ref')

    expect(fileAt(files, '/large')?.content).toBe(body.toString('latin1'))
    expect(fileAt(files, '/again')?.content).toBe(body.toString('latin1'))
    expect(fileAt(files, '/s99')?.content).toBe('small 99 '.repeat(99))
    expect(layers[0]?.blob).toMatchObject({
      id: digestOf(gzipSync(tar)).slice(7),
      compressor: 'gzip',
    })
  })

  it.each([
    ['that is none', tarOf(FILE('f')), 'is no gzip'],
    [
      'of several members',
      Buffer.concat([gzipSync(tarOf(FILE('f'))), gzipSync('')]),
      'several members',
    ],
    [
      'that ends with a file',
      gzipSync(tarOf(FILE('f', 'x'.repeat(512))).subarray(0, 1024)),
      'ends with',
    ],
  ])('are refused for a layer %s', async (_, layer, reason) => {
    await expect(encode(layer, 'ref')).rejects.toThrow(new RegExp(reason))
  })
})

describe('an image of several layers', () => {
  it('hides what whiteouts name, in the layers below alone', async () => {
    const files = await merged(
      [FILE('a'), FILE('d/x'), FILE('d/y'), FILE('o/lost'), FILE('.wh.nothing')],
      [
        FILE('.wh.a', ''),
        FILE('a/new'),
        FILE('d/.wh.x', ''),
        FILE('o/kept'),
        FILE('o/.wh..wh..opq', ''),
      ],
    )

    expect(pathsOf(files)).toEqual(['/', '/a', '/a/new', '/d', '/d/y', '/o', '/o/kept'])
  })

  it('takes a folder from above, unless it is only implied there', async () => {
    const files = await merged(
      [DIR('./', 0o711), DIR('root/', 0o700), DIR('tmp/', 0o1777)],
      [FILE('root/.profile'), DIR('tmp/', 0o777), FILE('opt/x')],
    )

    expect(files.map(({ path, mode }) => `${path} ${mode}`)).toEqual([
      '/ 40711',
      '/opt 40755',
      '/opt/x 100644',
      '/root 40700',
      '/root/.profile 100644',
      '/tmp 40777',
    ])
  })

  it('replaces files by folders and folders by files', async () => {
    const files = await merged(
      [FILE('f'), FILE('d/x'), { name: 'l', type: '2', link: 'd' }],
      [FILE('f/x'), FILE('d'), FILE('l/y')],
    )

    expect(pathsOf(files)).toEqual(['/', '/d', '/f', '/f/x', '/l', '/l/y'])
    expect(fileAt(files, '/d')?.content).toBe('d')
  })

  it('links files across layers, and counts the names that are left', async () => {
    const files = await merged(
      [FILE('a'), { name: 'b', type: '1', link: 'a' }, { name: 'c', type: '1', link: 'a' }],
      [FILE('.wh.c', ''), { name: 'd/up', type: '1', link: 'b' }],
      [FILE('a', 'new')],
    )

    expect(fileAt(files, '/a')).toMatchObject({ content: 'new', links: 1 })
    expect(fileAt(files, '/b')).toMatchObject({ content: 'a', links: 2 })
    expect(fileAt(files, '/d/up')?.nid).toBe(fileAt(files, '/b')?.nid)
  })

  it('refuses a hard link to nothing', async () => {
    const made = merged([FILE('a')], [{ name: 'l', type: '1', link: 'gone' }])

    await expect(made).rejects.toThrow(LayerRefusedError)
  })

  it('names blobs once, and those alone that are used', async () => {
    const layers = [tarOf(FILE('a')), tarOf(FILE('b')), tarOf(FILE('a')), tarOf(FILE('.wh.b', ''))]
    const { boot, files } = await makeImage(layers, 'zstd')

    expect(pathsOf(files)).toEqual(['/', '/a'])
    expect(boot.readUInt32LE(1168)).toBe(256)
  })
})

describe('the record of a layer', () => {
  const target = () => ({
    ...{ leaves: new Leaves(), contents: new Contents() },
    blob: { place: 0, chunks: 100 },
  })

  it('is read as it was written', async () => {
    const items = [FILE('x', 'y'), { name: 'l', type: '1', link: 'low' }, { name: 'old', mtime: 0 }]
    const odd = {
      name: 'o',
      pax: { mtime: '-1.25', 'SCHILY.xattr.a': '1', 'SCHILY.xattr.user.b': '2' },
    }
    const tree = await treeOf(tarOf(...items, odd))
    const original = { id: 'a'.repeat(64), size: 2 ** 40 }
    const record = { tree, compressor: 'gzip', original } as const

    const { head, tree: readTree } = openLayerRecord(await encodeLayerRecord(record))

    expect(head).toEqual({ compressor: 'gzip', original })
    expect(plainOf(await readTree(target()))).toEqual(plainOf(tree))
    expect(plainOf(tree)).toMatchObject({
      found: {
        '': { isImplied: true },
        '/x': { size: 1, chunks: [0] },
        '/o': { attributes: { mtime: { seconds: -2, nanos: 750_000_000 } } },
      },
    })
    expect(tree.lowerLinks).toEqual(new Map([['l', 'low']]))
    expect(tree.dropped).toEqual(new Map([['a', 1]]))
  })

  it('is refused when it is damaged, and never read for long', async () => {
    const tree = await treeOf(richTar())
    const bytes = await encodeLayerRecord({ tree, compressor: 'zstd' })
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(255), async (at, value) => {
        const damaged = Uint8Array.from(bytes)
        damaged[at] = value
        try {
          await openLayerRecord(damaged).tree(target())
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
      }),
    )
    const cut = openLayerRecord(bytes.subarray(0, -1))
    await expect(cut.tree(target())).rejects.toThrow(RangeError)
  })
})
