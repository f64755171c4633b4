/** SOCI images: which layers get a ztoc, and what the documents say, byte for byte. */
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { LayerRefusedError, type Piece, type SourceImage } from '../../../../src/format/format.ts'
import { defaultOptions } from '../../../../src/format/formats.ts'
import { soci } from '../../../../src/format/soci/soci.ts'
import { whyNoZtoc, writeSociIndex } from '../../../../src/format/soci/soci-index.ts'
import { type Digest, digestOf } from '../../../../src/oci/digest.ts'
import type { ImageManifest } from '../../../../src/oci/manifest.ts'
import { chunked } from '../../../helpers/bytes.ts'
import { tarOf } from '../../../helpers/tars.ts'

const OPTIONS = defaultOptions(soci)
const MIB = 1024 ** 2
const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip'
const DOCKER_GZIP = 'application/vnd.docker.image.rootfs.diff.tar.gzip'

const DOCKER_IMAGE = 'application/vnd.docker.distribution.manifest.v2+json'
const SUBJECT = { mediaType: DOCKER_IMAGE, digest: digestOf(Buffer.from('image')), size: 1024 }

const digest = (text: string) => digestOf(Buffer.from(text))
const layer = (name: string, mediaType = GZIP) => ({
  mediaType,
  digest: digest(name),
  size: 20 * MIB,
})

function imageOf(...layers: ReturnType<typeof layer>[]): SourceImage {
  const image = { kind: 'image', dialect: 'docker', layers } as unknown as ImageManifest
  return { image, subject: SUBJECT, config: new Uint8Array(0), diffIds: [], dialect: 'oci' }
}

function piece(name: string): Piece {
  return { target: digest(name), size: name.length, diffId: digest('tar'), facts: {} }
}

async function assemble(image: SourceImage, ...pieces: (Piece | undefined)[]) {
  const none = () => {
    throw new Error('nothing is read or written')
  }
  const context = { options: OPTIONS, refusals: ['sparse'], read: none, write: none }
  return await soci.assemble(image, pieces, context)
}

describe('the layers that get a ztoc', () => {
  it('are gzip or plain, here, and large enough as they are stored', () => {
    const large = 10 * MIB
    expect(whyNoZtoc({ mediaType: GZIP, size: large }, large)).toBeUndefined()
    expect(whyNoZtoc({ mediaType: GZIP, size: large - 1 }, large)).toBe('too-small')
    expect(whyNoZtoc({ mediaType: GZIP, size: 0 }, 0)).toBeUndefined()
    for (const [mediaType, why] of [
      [DOCKER_GZIP, undefined],
      ['application/vnd.oci.image.layer.v1.tar', undefined],
      ['application/vnd.docker.image.rootfs.diff.tar', undefined],
      ['application/vnd.oci.image.layer.v1.tar+zstd', 'zstd'],
      ['application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', 'not-here'],
      ['application/vnd.oci.image.layer.v1.tar+gzip+encrypted', 'not-here'],
    ] as const) {
      expect(whyNoZtoc({ mediaType, size: large }, large), mediaType).toBe(why)
    }
  })

  it('are described, and all others kept', () => {
    expect(soci.deed(layer('a'), true, OPTIONS)).toBe('describe')
    expect(soci.deed({ ...layer('a'), size: 5 }, true, OPTIONS)).toBe('keep')
  })
})

describe('a SOCI index', () => {
  const ztocs = [{ digest: digest('z'), size: 5, layer: layer('a') }]

  it('is what Go writes, with every member in its place', () => {
    const written = writeSociIndex({ ztocs, spanSize: 4 * MIB, tool: '<tool>' })
    expect(Buffer.from(written).toString()).toBe(
      `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.amazon.soci.index.v2+json","digest":"${digest('{}')}","size":2},"layers":[{"mediaType":"application/octet-stream","digest":"${digest('z')}","size":5,"annotations":{"com.amazon.soci.image-layer-digest":"${digest('a')}","com.amazon.soci.image-layer-mediaType":"${GZIP}","com.amazon.soci.span-size":"4194304"}}],"annotations":{"com.amazon.soci.build-tool-identifier":"\\u003ctool\\u003e"}}`,
    )
  })

  it('of version 1 names its image', () => {
    const subject = { mediaType: 'a/b', digest: digest('i') as Digest, size: 7 }
    const written = writeSociIndex({ ztocs, spanSize: 1, tool: 't', subject })
    const text = Buffer.from(written).toString()
    expect(text).toContain('soci.index.v1+json')
    expect(text).toContain(
      `],"subject":{"mediaType":"a/b","digest":"${digest('i')}","size":7},"annotations"`,
    )
  })
})

describe('a SOCI image', () => {
  it('keeps every layer, names its index, and brings it along', async () => {
    const source = imageOf(layer('a', DOCKER_GZIP), layer('b'), layer('a', DOCKER_GZIP))
    const made = await assemble(source, piece('za'), undefined, piece('za'))
    const [document] = made.documents ?? []
    const bytes = document?.bytes ?? new Uint8Array(0)
    const index = JSON.parse(Buffer.from(bytes).toString())
    expect(made.layers).toEqual([0, 1, 2].map((of) => ({ kind: 'kept', of })))
    expect(made.annotations).toEqual({ 'com.amazon.soci.index-digest': digestOf(bytes) })
    expect(index.layers).toMatchObject([
      {
        digest: digest('za'),
        annotations: {
          'com.amazon.soci.image-layer-digest': digest('a'),
          'com.amazon.soci.image-layer-mediaType': GZIP,
        },
      },
    ])
    expect(document?.blobs.map((blob) => digestOf(blob))).toEqual([index.config.digest])
    expect(document).not.toHaveProperty('isReferrer')
  })

  it('has an index of version 1 for those who look for what refers to the source', async () => {
    const made = await assemble(imageOf(layer('a', DOCKER_GZIP)), piece('za'))
    const [, document] = made.documents ?? []
    const index = JSON.parse(Buffer.from(document?.bytes ?? '').toString())
    expect(document?.isReferrer).toBe(true)
    expect(index).toMatchObject({
      config: { mediaType: soci.asReferrer?.artifactType },
      layers: [{ annotations: { 'com.amazon.soci.image-layer-mediaType': DOCKER_GZIP } }],
      subject: SUBJECT,
    })
  })

  it('stands in its index with the index of its ztocs behind it', () => {
    const index = { digest: digest('soci'), size: 9, mediaType: 'm' }
    const child = { digest: digest('image'), size: 8, mediaType: 'm' }
    expect(soci.inIndex?.wraps(OPTIONS)).toBe(true)
    expect(soci.inIndex?.place({ ...child, documents: [index] }, OPTIONS)).toEqual({
      instead: { ...child, annotations: { 'com.amazon.soci.index-digest': digest('soci') } },
      beside: [
        {
          ...index,
          artifactType: 'application/vnd.amazon.soci.index.v2+json',
          annotations: { 'com.amazon.soci.image-manifest-digest': digest('image') },
        },
      ],
    })
  })

  it('is none where no layer can have a ztoc, for the reason of the first', async () => {
    const made = assemble(imageOf(layer('a')), undefined)
    await expect(made).rejects.toThrow('no layer can be read in parts: sparse')
    await expect(made).rejects.toBeInstanceOf(LayerRefusedError)
  })

  it('says of a layer why it has no ztoc, and what it unpacks to', async () => {
    if (soci.encoding.reads !== 'source') throw new Error('ztocs are made of stored bytes')
    const tar = tarOf({ name: 'l', type: '1', link: 'nowhere' })
    const encoded = soci.encoding.encode(chunked(gzipSync(tar), [100]), OPTIONS, {
      concurrency: 1,
      limits: { maxOutput: 2 ** 20, maxWindowLog: 27 },
      wants512: false,
      unpacked: () => undefined,
      reopen: () => chunked(gzipSync(tar), [100]),
    })
    await expect(encoded.next()).rejects.toMatchObject({
      name: 'LayerRefusedError',
      message: '"l" is a hard link to what the layer does not hold before it',
      unpacked: { diffId: digestOf(tar) },
    })
  })
})
