import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { estargz } from '../../../../src/format/estargz.ts'
import { estargzFooter, parseEstargzFooter } from '../../../../src/format/estargz-footer.ts'
import { seededBytes } from '../../../helpers/bytes.ts'
import { openEstargz, readFiles, sha256 } from '../../../helpers/lazy-blobs.ts'
import { encodeLazy } from '../../../helpers/lazy-encode.ts'
import { anyTar, paxBody, record, richTar, type TarItem, tarOf } from '../../../helpers/tars.ts'

async function namesOf(tar: Uint8Array, priorities?: readonly string[]): Promise<string[]> {
  const { bytes } = await encodeLazy(estargz, tar, priorities ? { priorities } : {})
  const { toc } = await openEstargz(bytes)
  return toc.entries.filter(({ type }) => type !== 'chunk').map(({ name }) => name)
}

const TREE = tarOf(
  { name: './', type: '5' },
  { name: './a/', type: '5' },
  { name: './a/1', body: Buffer.from('one') },
  { name: './a/b/', type: '5' },
  { name: './a/b/2', body: Buffer.from('two') },
  { name: './3', body: Buffer.from('three') },
  { name: './link', type: '1', link: './a/b/2' },
  { name: './link2', type: '1', link: 'link' },
)

describe('estargz order', () => {
  it('marks a layer without priorities as not worth prefetching', async () => {
    expect((await namesOf(TREE))[0]).toBe('.no.prefetch.landmark')
    expect((await namesOf(TREE)).slice(1)).toEqual([
      './',
      './a/',
      './a/1',
      './a/b/',
      './a/b/2',
      './3',
      './link',
      './link2',
    ])
  })

  it('puts listed files first, each behind its folders, then the landmark and the rest', async () => {
    expect(await namesOf(TREE, ['3', '/a/b/2', '3', 'missing'])).toEqual([
      './',
      './3',
      './a/',
      './a/b/',
      './a/b/2',
      '.prefetch.landmark',
      './a/1',
      './link',
      './link2',
    ])
  })

  it('takes the targets of hard links along, through other links', async () => {
    expect(await namesOf(TREE, ['link2'])).toEqual([
      './',
      './a/',
      './a/b/',
      './a/b/2',
      './link',
      './link2',
      '.prefetch.landmark',
      './a/1',
      './3',
    ])
  })

  it('is that of a layer without priorities when it holds none of them', async () => {
    const plain = await encodeLazy(estargz, TREE)
    const missed = await encodeLazy(estargz, TREE, { priorities: ['nope'] })
    expect(missed.bytes.equals(plain.bytes)).toBe(true)
  })

  it('gives the same files and bytes for any order, chunking and concurrency', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(anyTar, sizes, fc.array(fc.nat(30)), async (tar, cuts, picks) => {
        const names = await namesOf(tar)
        const priorities = picks.map((pick) => names[pick % names.length] ?? '')
        const one = await encodeLazy(estargz, tar, { priorities, concurrency: 1 })
        const two = await encodeLazy(estargz, tar, { priorities, concurrency: 8, sizes: cuts })
        expect(two.bytes.equals(one.bytes)).toBe(true)
        expect(one.facts.diffId).toBe(sha256(gunzipSync(one.bytes)))
        const lazy = await openEstargz(one.bytes)
        const plain = await openEstargz((await encodeLazy(estargz, tar)).bytes)
        const sorted = (files: ReadonlyMap<string, Buffer>) =>
          [...files]
            .filter(([name]) => !name.endsWith('.landmark'))
            .toSorted(([a], [b]) => (a < b ? -1 : 1))
        expect(sorted(readFiles(lazy))).toEqual(sorted(readFiles(plain)))
      }),
      { numRuns: 25 },
    )
  })

  it('reads the tar a bounded number of times and holds a bounded part of it back', async () => {
    const body = seededBytes(20 * 1024 * 1024, 'body')
    const files = Array.from({ length: 8 }, (_, i): TarItem => ({ name: `f${i}`, body }))
    let readings = 0
    const { bytes } = await encodeLazy(estargz, tarOf(...files), {
      options: { level: 1, chunkSize: 4_194_304 },
      priorities: files.map(({ name }) => name).toReversed(),
      onReopen: () => {
        readings += 1
      },
    })
    const { toc } = await openEstargz(bytes)
    const order = toc.entries.filter(({ type }) => type === 'reg').map(({ name }) => name)
    expect(order).toEqual(['f7', 'f6', 'f5', 'f4', 'f3', 'f2', 'f1', 'f0', '.prefetch.landmark'])
    expect(readings).toBeLessThanOrEqual(4)
  }, 60_000)

  it('replaces the table and the landmark of a layer that was eStargz before', async () => {
    const first = await encodeLazy(estargz, TREE, { priorities: ['3'] })
    const again = await namesOf(gunzipSync(first.bytes), ['a/1'])
    expect(again.filter((name) => name.includes('landmark'))).toEqual(['.prefetch.landmark'])
    expect(again.slice(0, 4)).toEqual(['./', './a/', './a/1', '.prefetch.landmark'])
    expect(again).not.toContain('stargz.index.json')
  })
})

describe('estargz', () => {
  it('describes one of everything, and every chunk decodes alone', async () => {
    const { bytes } = await encodeLazy(estargz, richTar(), {
      options: { level: 6, chunkSize: 100_000 },
    })
    const lazy = await openEstargz(bytes)
    expect(lazy.tocJson.at(-1)).toBe('}'.charCodeAt(0))
    const byName = new Map(lazy.toc.entries.map((entry) => [entry.name, entry]))
    expect(byName.get('dev/null')).toMatchObject({ type: 'char', devMajor: 1, devMinor: 3 })
    expect(byName.get('bin/')).not.toHaveProperty('modtime')
    expect(byName.get('etc/')).toMatchObject({
      userName: 'root',
      mode: 0o755,
      modtime: '2023-11-14T22:13:20Z',
    })
    expect(byName.get(`${'deep/'.repeat(40)}file`)?.xattrs).toEqual({ 'user.k': 'AP8K' })
    expect(byName.get('names/<&>"größe')?.size).toBe(6)
    expect(readFiles(lazy).get('large')?.length).toBe(700_000)
  })

  it('says in 51 bytes where the table begins', () => {
    const footer = Buffer.from(estargzFooter(6889))
    expect(footer.toString('hex')).toBe(
      '1f8b08040000000000ff1a0053471600303030303030303030303030316165395354415247' +
        '5a010000ffff0000000000000000',
    )
    expect(parseEstargzFooter(footer)).toBe(6889)
    expect(parseEstargzFooter(footer.fill(0x7a, 16, 17))).toBeUndefined()
  })

  it('keeps a layer that is one already, by its annotation', () => {
    const gzip = {
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest: 'sha256:0',
      size: 1,
    }
    expect(estargz.keeps(gzip as never)).toBe(false)
    const annotations = { 'containerd.io/snapshot/stargz/toc.digest': 'sha256:1' }
    expect(estargz.keeps({ ...gzip, annotations } as never)).toBe(true)
  })

  it('annotates nothing for a layer that took its plain form', () => {
    expect(estargz.annotations?.({})).toEqual({})
  })

  it('drops a global header', async () => {
    const global = record({ name: 'g', type: 'g', body: paxBody({ comment: 'c' }) })
    expect(await namesOf(Buffer.concat([global, tarOf({ name: 'f' })]))).toEqual([
      '.no.prefetch.landmark',
      'f',
    ])
  })
})

describe('estargz refuses', () => {
  const REFUSED: Readonly<Record<string, Uint8Array>> = {
    'a path that is there twice': tarOf({ name: 'd/', type: '5' }, { name: './d', type: '5' }),
    'a hard link to another layer': tarOf({ name: 'l', type: '1', link: 'elsewhere' }),
    'a hard link to what follows': tarOf({ name: 'l', type: '1', link: 'f' }, { name: 'f' }),
    'a name that is not UTF-8': tarOf({ name: 'caf\xe9' }),
    'an owner that is not UTF-8': tarOf({ name: 'f', pax: { uname: Buffer.from([0xff]) } }),
    'a time beyond the year 9999': tarOf({ name: 'f', pax: { mtime: '300000000000' } }),
    'a file at the root': tarOf({ name: './', type: '2', link: 'a' }),
    'a global path': Buffer.concat([
      record({ name: 'g', type: 'g', body: paxBody({ path: 'evil' }) }),
      tarOf({ name: 'f' }),
    ]),
    'a sparse file': tarOf({ name: 's', type: 'S' }),
    'no bytes at all': Buffer.alloc(0),
  }
  for (const [what, tar] of Object.entries(REFUSED)) {
    it(what, async () => {
      const refusal = expect.objectContaining({ name: 'LayerRefusedError' })
      await expect(encodeLazy(estargz, tar)).rejects.toThrow(refusal)
      await expect(encodeLazy(estargz, tar, { priorities: ['f'] })).rejects.toThrow(refusal)
    })
  }
})
