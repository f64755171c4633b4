import { expect, it } from 'vitest'
import { type ExportedImage, named } from '../../../src/bundle/bundle-names.ts'
import { findFormat } from '../../../src/format/formats.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import type { ImageManifest, Platform } from '../../../src/oci/manifest.ts'

const DIGEST = digestOf(new Uint8Array())
const OCI = 'application/vnd.oci.image'
const MANIFEST = `${OCI}.manifest.v1+json`
const GZIP = `${OCI}.layer.v1.tar+gzip`
const NYDUS = `${OCI}.layer.nydus.blob.v1`
const AMD64: Platform = { os: 'linux', architecture: 'amd64' }

/** From the one that has the least claim to the plain name. */
const FORMS = ['nydus', 'soci', 'estargz', 'zstdchunked', 'none', 'zstd', 'gzip', 'original']

function manifestOf(layer: string): ImageManifest {
  const descriptor = { digest: DIGEST, size: 1 }
  return {
    kind: 'image',
    digest: DIGEST,
    raw: {},
    dialect: 'oci',
    mediaType: MANIFEST,
    config: { ...descriptor, mediaType: `${OCI}.config.v1+json` },
    layers: [{ ...descriptor, mediaType: layer }],
  }
}

function exported(form: string, layers: readonly string[]): ExportedImage {
  const format = findFormat(form)
  const made = { profile: form, format: form, revision: 1, options: {} }
  const recipe = { ...made, dialect: 'oci' } as const
  return {
    repository: { upstream: 'docker.io', name: 'library/app' },
    reference: form === 'original' ? 'docker.io/library/app:1' : `docker.io/library/app:1-${form}`,
    baseName: 'docker.io/library/app:1',
    tag: '1',
    root: { digest: DIGEST, mediaType: MANIFEST, bytes: new Uint8Array() },
    images: layers.map((layer) => ({
      digest: DIGEST,
      manifest: manifestOf(layer),
      platform: AMD64,
    })),
    conversion: format && {
      repository: { upstream: 'docker.io', name: 'library/app' },
      ...{ source: DIGEST, recipe, target: DIGEST, size: 1, mediaType: MANIFEST, profile: form },
      ...{ layers: [], outputs: [], convertedAt: 0, seconds: 0 },
    },
    forms: [],
    withSource: false,
    leftOut: [],
    originals: [],
  }
}

it.each(FORMS)('%s has the plain name, where nothing is there that more clients read', (form) => {
  const forms = FORMS.slice(0, FORMS.indexOf(form) + 1)
  const images = forms.map((one) => exported(one, [one === 'nydus' ? NYDUS : GZIP]))

  for (const order of [images, images.toReversed()]) {
    const found = named(order)
    const plain = found.filter(({ name }) => name === 'docker.io/library/app:1')
    expect(plain.map(({ conversion }) => conversion?.recipe.profile ?? 'original')).toEqual([form])
    expect(new Set(found.map(({ name }) => name)).size).toBe(images.length)
  }
})

it('counts an index with a nydus image beside each original among what every client reads', () => {
  const both = exported('nydus', [GZIP, NYDUS])
  const alone = exported('nydus-ref', [NYDUS])

  const found = named([alone, both])

  expect(found.find(({ name }) => name === both.baseName)?.reference).toBe(both.reference)
})
