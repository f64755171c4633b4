import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  type AssemblyContext,
  LayerRefusedError,
  type Piece,
} from '../../../../src/format/format.ts'
import { assembleNydus } from '../../../../src/format/nydus/image.ts'
import { nydus, nydusRef } from '../../../../src/format/nydus/nydus.ts'
import { collect, streamOf } from '../../../../src/lib/streams.ts'
import { digestOf, hexOf } from '../../../../src/oci/digest.ts'
import { DEFAULT_MODEL_LIMITS, parseManifest } from '../../../../src/oci/manifest.ts'
import { type FakeImage, fakeImage } from '../../../helpers/fake-image.ts'
import { encode, type Form } from '../../../helpers/nydus-images.ts'
import { listRafs } from '../../../helpers/rafs.ts'
import { type TarItem, tarOf } from '../../../helpers/tars.ts'

const LAYERS: readonly TarItem[][] = [
  [{ name: 'a', body: Buffer.from('a') }],
  [{ name: 'b/', type: '5' }],
  [{ name: '.wh.b' }, { name: 'c', body: Buffer.from('c') }],
]
const SNAPSHOT = 'containerd.io/snapshot/'

function image(): Promise<FakeImage> {
  return fakeImage({
    layers: LAYERS.map((items) => ({ tar: tarOf(...items), compression: 'gzip' })),
  })
}

async function assemble(source: FakeImage, forms: readonly Form[]) {
  const made = await Promise.all(
    source.layers.map((layer, i) =>
      encode(forms[i] === 'ref' ? layer.bytes : layer.tar, forms[i] ?? 'zstd'),
    ),
  )
  const blobs = new Map<string, Buffer>(
    source.layers.map(({ digest, bytes }) => [hexOf(digest), Buffer.from(bytes)]),
  )
  for (const blob of made) blobs.set(hexOf(digestOf(blob)), blob)
  const pieces = made.map((blob): Piece => {
    const digest = digestOf(blob)
    return { target: digest, size: blob.length, diffId: digest, facts: {} }
  })
  const written: Uint8Array[] = []
  const context: AssemblyContext = {
    options: {},
    refusals: [],
    read: ({ target }, { start, end }) =>
      streamOf(blobs.get(hexOf(target))?.subarray(start, end) ?? new Uint8Array(0)),
    write: async (bytes) => {
      const blob = await collect(bytes, 1e9)
      written.push(blob)
      return { digest: digestOf(blob), size: blob.byteLength }
    },
  }
  const manifest = parseManifest(source, DEFAULT_MODEL_LIMITS)
  if (manifest.kind !== 'image') throw new Error('not an image')
  const { digest } = source.config
  const subject = { mediaType: source.mediaType, digest: source.digest, size: 0 }
  const diffIds = source.layers.map(({ diffId }) => diffId)
  const assembled = await assembleNydus(
    { image: manifest, subject, config: source.config.bytes, diffIds, dialect: 'oci' },
    pieces.slice(0, forms.length),
    context,
  )
  return { assembled, pieces, blobs, digest, tar: gunzipSync(written[0] ?? '') }
}

describe('a nydus image', () => {
  it('is a blob for each layer, and a bootstrap over all of them behind', async () => {
    const { assembled, pieces, tar } = await assemble(await image(), ['zstd', 'none', 'zstd'])

    expect(assembled.layers).toMatchObject([
      ...pieces.map(({ target: digest, size }, of) => ({
        ...{ kind: 'made', of, digest, size },
        mediaType: 'application/vnd.oci.image.layer.nydus.blob.v1',
        annotations: { [`${SNAPSHOT}nydus-blob`]: 'true' },
      })),
      {
        kind: 'made',
        mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
        annotations: {
          [`${SNAPSHOT}nydus-bootstrap`]: 'true',
          [`${SNAPSHOT}nydus-fs-version`]: '6',
        },
      },
    ])
    expect(assembled.layers.at(-1)).not.toHaveProperty('of')
    const config = JSON.parse(Buffer.from(assembled.config ?? []).toString())
    expect(config.rootfs.diff_ids).toEqual([...pieces.map(({ target }) => target), digestOf(tar)])
  })

  it('has its bootstrap in a folder of a tar, in whole blocks', async () => {
    const { tar, blobs } = await assemble(await image(), ['zstd', 'none', 'ref'])
    const size = Number.parseInt(tar.toString('latin1', 512 + 124, 512 + 135), 8)

    expect(tar.toString('latin1', 0, 7)).toBe('image/\0')
    expect(tar.toString('latin1', 512, 512 + 17)).toBe('image/image.boot\0')
    expect(size % 4096).toBe(0)
    const files = listRafs(tar.subarray(1024, 1024 + size), blobs)
    expect(files.map(({ path, content }) => [path, content])).toEqual([
      ['/', undefined],
      ['/a', 'a'],
      ['/c', 'c'],
    ])
  })

  it('refers to the original layers whose data it uses', async () => {
    const source = await image()
    const { assembled } = await assemble(source, ['ref', 'ref', 'zstd'])

    expect(assembled.layers.map((layer) => layer.annotations?.[`${SNAPSHOT}nydus-ref`])).toEqual([
      source.layers[0]?.digest,
      undefined,
      undefined,
      undefined,
    ])
  })

  it('cannot be made without a layer, or of a layer that is another one', async () => {
    await expect(assemble(await image(), ['zstd', 'zstd'])).rejects.toThrow(LayerRefusedError)
    const source = await image()
    const [first, ...rest] = source.layers
    if (first === undefined) throw new Error('no layer')
    const other = { ...first, bytes: gzipSync(first.tar, { level: 1 }) }
    await expect(
      assemble({ ...source, layers: [other, ...rest] }, ['ref', 'zstd', 'zstd']),
    ).rejects.toThrow(LayerRefusedError)
  })
})

describe('the formats', () => {
  it('say which extended attributes they could not hold', async () => {
    const pax = { 'SCHILY.xattr.system.nfs4_acl': 'x' }
    const tar = tarOf({ name: 'f', pax, body: Buffer.from('f') }, { name: 'g', pax })
    const context = { concurrency: 1, reopen: () => streamOf(tar) }
    if (nydus.encoding.reads !== 'tar' || nydusRef.encoding.reads !== 'source') throw new Error()
    const native = nydus.encoding.encode(streamOf(tar), {}, context)
    let step = await native.next()
    while (!step.done) step = await native.next()

    expect(step.value.note).toBe('without the extended attributes system.nfs4_acl (2)')
    const seen: number[] = []
    const zran = nydusRef.encoding.encode(
      streamOf(gzipSync(tar)),
      {},
      {
        ...{ concurrency: 1, limits: { maxOutput: 1e9, maxWindowLog: 27 }, wants512: true },
        unpacked: (size) => seen.push(size),
        reopen: () => streamOf(gzipSync(tar)),
      },
    )
    let made = await zran.next()
    while (!made.done) made = await zran.next()
    expect(made.value).toMatchObject({
      note: 'without the extended attributes system.nfs4_acl (2)',
      unpacked: {
        diffId: digestOf(tar),
        diffId512: digestOf(tar, 'sha512'),
        uncompressedSize: tar.length,
      },
    })
    expect(seen.at(-1)).toBe(tar.length)
  })

  it('stand beside their originals in an index where that is wanted', () => {
    const child = { digest: digestOf(Buffer.from('x')), size: 1, mediaType: 'm', documents: [] }
    const place = (index: string) => nydus.inIndex?.place(child, { index })

    expect(place('replace')).toEqual({ instead: { digest: child.digest, size: 1, mediaType: 'm' } })
    expect(place('both')).toMatchObject({
      beside: [{ artifactType: 'application/vnd.nydus.image.manifest.v1+json' }],
    })
    expect(nydus.inIndex?.wraps({ index: 'both' })).toBe(true)
  })
})
