import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../../src/oci/digest.ts'
import { DEFAULT_MODEL_LIMITS } from '../../../src/oci/manifest.ts'
import {
  blob,
  DOCKER_CONFIG,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  type Document,
  digestOfText,
  dockerDocument,
  failureOf,
  imageDocument,
  indexDocument,
  OCI_CONFIG,
  OCI_GZIP,
  OCI_INDEX,
  OCI_MANIFEST,
  OCI_TAR,
  parseDocument,
  parseImage,
  parseIndex,
  parseText,
} from '../../helpers/manifest-documents.ts'

const EMPTY = digestOf(new Uint8Array())
const { digest: _, ...NO_DIGEST } = blob('layer')
const layer = (more: Document) => imageDocument({ layers: [blob('layer', OCI_GZIP, more)] })
const child = (more: Document) => indexDocument({ manifests: [blob('child', OCI_MANIFEST, more)] })

describe('a manifest', () => {
  it('is an image with all that its descriptors say', () => {
    const document = imageDocument({
      layers: [
        blob('layer', OCI_GZIP, { urls: ['https://example.org/x'], annotations: { a: 'b' } }),
      ],
      annotations: { c: 'd' },
      subject: blob('subject', OCI_MANIFEST),
      artifactType: 'application/vnd.example',
      unknown: { kept: [1] },
    })

    const { schemaVersion: _, unknown: __, ...said } = document

    expect(parseImage(document)).toMatchObject({
      kind: 'image',
      dialect: 'oci',
      ...said,
      raw: document,
    })
  })

  it('is an index with platforms', () => {
    const platform = { os: 'windows', architecture: 'amd64', 'os.version': '10.0', variant: 'v2' }
    const index = parseIndex(child({ platform, artifactType: 'a/b' }))

    expect(index.kind).toBe('index')
    expect(index.manifests[0]).toMatchObject({
      artifactType: 'a/b',
      platform: { os: 'windows', architecture: 'amd64', osVersion: '10.0', variant: 'v2' },
    })
  })

  it('speaks the dialect of its media type', () => {
    expect(parseDocument(dockerDocument()).dialect).toBe('docker')
    expect(parseDocument(indexDocument({ mediaType: DOCKER_LIST })).dialect).toBe('docker')
    expect(parseDocument(indexDocument()).dialect).toBe('oci')
  })

  it('need not say its media type', () => {
    const { mediaType: _, ...image } = imageDocument()
    const { mediaType: __, ...index } = indexDocument()

    expect(parseText(JSON.stringify(image)).mediaType).toBe(OCI_MANIFEST)
    expect(parseText(JSON.stringify(index), OCI_INDEX).kind).toBe('index')
  })

  it('may hold null where Go writes an empty list or nothing', () => {
    const layers = parseImage(imageDocument({ layers: null, annotations: null, subject: null }))

    expect(layers.layers).toEqual([])
    expect(parseIndex(indexDocument({ manifests: null })).manifests).toEqual([])
  })

  it('may hold platforms that are missing, doubled, half or full of junk, in their order', () => {
    const platforms: Document[] = [
      {},
      { platform: { os: 'linux', architecture: 'amd64', 'os.features': [1, {}, null] } },
      { platform: { os: 'linux', architecture: 'amd64' } },
      { platform: { os: 'linux' } },
      { platform: {} },
    ]
    const manifests = platforms.map((more, i) => blob(`child ${i}`, OCI_MANIFEST, more))
    const index = parseIndex(indexDocument({ manifests }))

    expect(index.manifests.map(({ digest }) => digest)).toEqual(manifests.map((one) => one.digest))
    expect(index.manifests.map(({ platform }) => platform?.architecture)).toEqual([
      ...[undefined, 'amd64', 'amd64', 'unknown', undefined],
    ])
  })

  it('may list a layer or child several times', () => {
    const twice = [blob('layer'), blob('layer')]

    expect(parseImage(imageDocument({ layers: twice })).layers).toHaveLength(2)
    const manifests = [blob('x', OCI_MANIFEST), blob('x', OCI_MANIFEST)]
    expect(parseIndex(indexDocument({ manifests })).manifests).toHaveLength(2)
  })

  it.each([
    ['a digest that is none', [blob('x', OCI_MANIFEST, { digest: 'sha256:x' })]],
    ['a digest of an unknown algorithm', [blob('x', OCI_MANIFEST, { digest: 'blake3:00' })]],
    ['no digest but an empty one', [blob('x', OCI_MANIFEST, { digest: '' })]],
    ['the size of nothing', [blob('x', OCI_MANIFEST, { size: 0 })]],
    ['a size beyond the limit', [blob('x', OCI_MANIFEST, { size: 64 * 1024 ** 3 + 1 })]],
    ['two sizes', [blob('x', OCI_MANIFEST), blob('x', OCI_MANIFEST, { size: 1 })]],
    ['two kinds', [blob('x', OCI_MANIFEST), blob('x', OCI_INDEX)]],
  ])('may list a child with %s beside others', (_, strange) => {
    const sound = blob('sound', OCI_MANIFEST)
    const { manifests, entries } = parseIndex(indexDocument({ manifests: [...strange, sound] }))

    expect(manifests.map(({ digest }) => digest)).toEqual([sound.digest])
    expect(entries).toEqual([...strange.map(() => undefined), ...manifests])
  })

  it('may name one artifact blob under two media types', () => {
    const layers = [blob('x', 'text/plain'), blob('x', 'text/html')]

    expect(parseImage(imageDocument({ layers })).layers).toHaveLength(2)
  })

  it('may hold the blob of nothing', () => {
    const empty = { mediaType: OCI_TAR, digest: EMPTY, size: 0 }

    expect(parseImage(imageDocument({ layers: [empty] })).layers[0]?.size).toBe(0)
  })

  it('may have annotations of any key and value, which pollute nothing', () => {
    const text = JSON.stringify(imageDocument()).replace(
      /}$/,
      ',"annotations":{"__proto__":"x","constructor":"y","A":"1","a":"2","crlf":"\\r\\n\\u0000\\u001b"}}',
    )
    const { annotations } = parseText(text)

    expect(Object.entries(annotations ?? {})).toContainEqual(['__proto__', 'x'])
    expect(annotations?.crlf).toBe('\r\n\u0000\u001b')
    expect(({} as Document).x).toBeUndefined()
  })
})

describe('a manifest that nobody should see', () => {
  const table: [title: string, document: Document, reason?: string, kind?: string][] = [
    ['digest md5', layer({ digest: 'md5:d41d8cd98f00b204e9800998ecf8427e' }), 'digest'],
    ['digest too short', layer({ digest: 'sha256:abc' }), 'digest'],
    ['digest in capitals', layer({ digest: `sha256:${'A'.repeat(64)}` }), 'digest'],
    ['digest with ../', layer({ digest: 'sha256:../../../../etc/passwd' }), 'digest'],
    ['digest of 1 MB', layer({ digest: `sha256:${'a'.repeat(1_000_000)}` }), 'digest'],
    ['digest with a line break', layer({ digest: `${digestOfText('x')}\n` }), 'digest'],
    ['digest missing', imageDocument({ layers: [NO_DIGEST] })],
    [
      'digest of the config bad',
      imageDocument({ config: blob('c', OCI_CONFIG, { digest: '' }) }),
      'digest',
    ],
    [
      'digest of the subject bad',
      imageDocument({ subject: blob('s', OCI_MANIFEST, { digest: 'x' }) }),
      'digest',
    ],
    ['digest of its only child bad', child({ digest: 'sha256:x' }), 'digest'],
    [
      'a child that is image and index, and no other',
      indexDocument({ manifests: [blob('x', OCI_MANIFEST), blob('x', OCI_INDEX)] }),
      'contradiction',
    ],
    ['manifests beside layers', imageDocument({ manifests: [] }), 'ambiguous'],
    ['manifests: null beside layers', imageDocument({ manifests: null }), 'ambiguous'],
    ['layers in an index', indexDocument({ layers: [] }), 'ambiguous'],
    ['a config in an index', indexDocument({ config: blob('c', OCI_CONFIG) }), 'ambiguous'],
    ['fsLayers in an image', imageDocument({ fsLayers: [] }), 'ambiguous'],
    ['fsLayers in an index', indexDocument({ fsLayers: [] }), 'ambiguous'],
    ['size -1', layer({ size: -1 })],
    ['size 1.5', layer({ size: 1.5 })],
    ['size as text', layer({ size: '10' })],
    ['size null', layer({ size: null })],
    ['size over the limit', layer({ size: 64 * 1024 ** 3 + 1 }), 'too-large', 'badSize'],
    ['size 0 of something', layer({ size: 0 }), 'size-zero', 'badSize'],
    [
      'sum of sizes over the limit',
      imageDocument({
        layers: [1, 2, 3].map((i) => blob(`l${i}`, OCI_GZIP, { size: 60 * 1024 ** 3 })),
      }),
      'too-large',
      'badSize',
    ],
    ['513 layers', imageDocument({ layers: Array(513).fill(blob('x')) }), 'too-many-layers'],
    [
      '1,025 children',
      indexDocument({ manifests: Array(1025).fill(blob('x', OCI_MANIFEST)) }),
      'too-many-manifests',
    ],
    [
      'a layer with two sizes',
      imageDocument({ layers: [blob('x'), blob('x', OCI_GZIP, { size: 1 })] }),
      'contradiction',
    ],
    [
      'a layer with two compressions',
      imageDocument({ layers: [blob('x'), blob('x', OCI_TAR)] }),
      'contradiction',
    ],
    ['an image without config', (({ config: _, ...rest }) => rest)(imageDocument())],
    ['an image without layers', (({ layers: _, ...rest }) => rest)(imageDocument())],
    ['an index without manifests', (({ manifests: _, ...rest }) => rest)(indexDocument())],
    ['an empty object', {}],
    ['no schemaVersion', imageDocument({ schemaVersion: undefined })],
    ['schemaVersion 3', imageDocument({ schemaVersion: 3 })],
    ['schemaVersion "2"', imageDocument({ schemaVersion: '2' })],
    ['an annotation that is no text', imageDocument({ annotations: { a: 1 } })],
    ['an annotation of a layer that is no text', layer({ annotations: { a: null } })],
    ['a list of null layers', imageDocument({ layers: [null] })],
    ['urls as text', layer({ urls: 'https://example.org' })],
    ['a platform as text', child({ platform: 'linux/amd64' })],
    ['Layers beside layers', imageDocument({ Layers: [] }), 'json-key-case'],
    ['layer\u017f (long s) beside layers', imageDocument({ 'layer\u017f': [] }), 'json-key-case'],
    ['MediaType beside mediaType', imageDocument({ MediaType: OCI_INDEX }), 'json-key-case'],
    ['Manifests in an image', imageDocument({ Manifests: [] }), 'ambiguous'],
    ['DIGEST in a layer', layer({ DIGEST: digestOfText('x') }), 'json-key-case'],
    ['Size in a child', child({ Size: 1 }), 'json-key-case'],
    [
      'OS in a platform',
      child({ platform: { os: 'linux', architecture: 'amd64', OS: 'plan9' } }),
      'json-key-case',
    ],
  ]

  it.each(table)('has %s', (_, document, reason = 'field', kind = 'badManifest') => {
    expect(failureOf(() => parseDocument(document))).toEqual({
      kind,
      reason,
    })
  })

  it.each([
    ['1e3', 'json-number'],
    ['9007199254740993', 'json-number'],
    ['9223372036854775808', 'json-number'],
    ['1e400', 'json-number'],
    ['-0', 'json-number'],
    ['00', 'json-number'],
    ['100.0', 'json-number'],
    ['1e99999999', 'json-number'],
    ['NaN', 'json'],
  ])('has the size %s', (size, reason) => {
    const text = JSON.stringify(layer({ size: 77777 })).replace('77777', size)

    expect(failureOf(() => parseText(text))).toEqual({ kind: 'badManifest', reason })
  })

  it('is larger than allowed', () => {
    const pad = DEFAULT_MODEL_LIMITS.maxManifestBytes - JSON.stringify(imageDocument()).length
    const text = JSON.stringify(imageDocument()) + ' '.repeat(pad)

    expect(failureOf(() => parseText(text)).kind).toBe('none')
    expect(failureOf(() => parseText(`${text} `))).toEqual({ kind: 'badSize', reason: 'too-large' })
  })

  it('has layers twice', () => {
    const text = JSON.stringify(imageDocument()).replace(/}$/, ',"layers":[]}')

    expect(failureOf(() => parseText(text)).reason).toBe('json-duplicate-key')
  })

  it.each([
    ['an index as image', imageDocument(), OCI_INDEX],
    ['an image as index', indexDocument(), OCI_MANIFEST],
    ['Docker as OCI', dockerDocument(), OCI_MANIFEST],
    ['OCI as Docker', imageDocument(), DOCKER_MANIFEST],
    ['a config', imageDocument(), OCI_CONFIG],
    ['HTML', imageDocument(), 'text/html'],
    ['nothing', imageDocument(), ''],
  ])('is served as another type: %s', (_, document, type) => {
    expect(failureOf(() => parseText(JSON.stringify(document), type))).toEqual({
      kind: 'badManifest',
      reason: 'media-type',
    })
  })

  it.each([
    ['schema 1', 'application/vnd.docker.distribution.manifest.v1+json', '{"schemaVersion":1}'],
    [
      'signed schema 1',
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      '{"schemaVersion":1}',
    ],
    ['schema 1 as JSON', 'application/json', '{"schemaVersion":1,"fsLayers":[],"history":[]}'],
    ['schema 1 as schema 2', DOCKER_MANIFEST, '{"schemaVersion":1,"fsLayers":[],"history":[]}'],
    ['an artifact manifest', 'application/vnd.oci.artifact.manifest.v1+json', '{}'],
  ])('is of the past: %s', (_, type, text) => {
    expect(failureOf(() => parseText(text, type))).toEqual({
      kind: 'refused',
      reason: 'obsolete-manifest',
    })
  })

  it('has a wrong type anywhere', () => {
    const full = imageDocument({
      config: blob('config', DOCKER_CONFIG, { annotations: { a: 'b' }, urls: ['u'] }),
      layers: [
        blob('layer', OCI_GZIP, { annotations: { a: 'b' }, urls: ['u'], platform: { os: 'l' } }),
      ],
      subject: blob('subject', OCI_MANIFEST),
      annotations: { a: 'b' },
      artifactType: 'a/b',
    })
    const index = indexDocument({ annotations: { a: 'b' }, subject: blob('subject', OCI_MANIFEST) })
    const junk = fc.constantFrom<unknown>(true, 0, -1, 1.5, '', 'x', [], [[]], {}, { a: [] })
    fc.assert(
      fc.property(fc.constantFrom(full, index), fc.nat(), junk, (document, where, value) => {
        const changed = structuredClone(document)
        const places = placesIn(changed)
        const place = places[where % places.length]
        if (place !== undefined) place.parent[place.key] = value

        // Anything but a CrossdockError is thrown on and fails the property.
        const { kind } = failureOf(() =>
          parseDocument({ ...changed, mediaType: document.mediaType }),
        )
        expect(['none', 'badManifest', 'badSize']).toContain(kind)
        if (place !== undefined && typeof value !== typeof place.was) expect(kind).not.toBe('none')
      }),
      { numRuns: 1000 },
    )
  })
})

interface PlaceInDocument {
  readonly parent: Document
  readonly key: string
  readonly was: unknown
}

/** Every value in a document that is read as a certain type, with where it is. */
function placesIn(value: Document): PlaceInDocument[] {
  return Object.entries(value).flatMap(([key, was]) => [
    ...(key === 'mediaType' && 'schemaVersion' in value ? [] : [{ parent: value, key, was }]),
    ...(typeof was === 'object' && was !== null ? placesIn(was) : []),
  ])
}
