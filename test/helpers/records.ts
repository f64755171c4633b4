/** Record images, referrers and eStargz images for a fake registry, and what comes first in the layers of an answer. */
import { gzipSync } from 'node:zlib'
import { readPriorities } from '../../src/format/priorities.ts'
import { streamOf } from '../../src/lib/streams.ts'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import {
  type FakeFile,
  type FakeImage,
  type FakeLayer,
  fakeImage,
  json,
  tarOf,
} from './fake-image.ts'
import { getBlob, getManifest } from './faults-puller.ts'

const OCI_GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip'
const TOC_DIGEST = 'containerd.io/snapshot/stargz/toc.digest'

/** Five files, in an order that no test wants. */
export const FILES: readonly FakeFile[] = [
  { name: 'a', body: 'first in the tar' },
  { name: 'b', body: 'second' },
  { name: 'bin/', type: 'directory' },
  { name: 'bin/tool', body: 'x'.repeat(9000) },
  { name: 'z', body: 'last' },
]

export function recordText(...paths: readonly string[]): string {
  return paths.map((path) => `${JSON.stringify({ path })}\n`).join('')
}

/** As stargz-snapshotter's pull request 642 lays it out. */
export async function recordImage(...paths: readonly string[]): Promise<FakeImage> {
  const files = [{ name: 'stargz.record.json', body: recordText(...paths) }]
  return await fakeImage({ layers: [{ files }] })
}

/** What `oras attach` makes of a record file. */
export async function recordReferrer(
  subject: { readonly mediaType: string; readonly digest: string; readonly bytes: Uint8Array },
  paths: readonly string[],
  options: { readonly created?: string; readonly text?: string } = {},
): Promise<FakeImage> {
  const bytes = Buffer.from(options.text ?? recordText(...paths))
  const digest = digestOf(bytes)
  const mediaType = 'application/jsonl'
  const empty = json({})
  return {
    ...(await fakeImage({ layers: [] })),
    ...manifestOf({
      artifactType: 'application/vnd.crossdock.record.v1',
      config: {
        mediaType: 'application/vnd.oci.empty.v1+json',
        digest: digestOf(empty),
        size: empty.byteLength,
      },
      layers: [{ mediaType, digest, size: bytes.byteLength }],
      subject: {
        mediaType: subject.mediaType,
        digest: subject.digest,
        size: subject.bytes.byteLength,
      },
      ...(options.created !== undefined && {
        annotations: { 'org.opencontainers.image.created': options.created },
      }),
    }),
    config: { digest: digestOf(empty), bytes: empty },
    layers: [{ mediaType, digest, diffId: digest, bytes, tar: bytes }],
  }
}

/** A layer that is an eStargz already. */
export function lazyLayer(bytes: Uint8Array, tar: Uint8Array): FakeLayer {
  const annotations = { [TOC_DIGEST]: digestOf(tar) }
  const digest = digestOf(bytes)
  return { mediaType: OCI_GZIP, digest, diffId: digestOf(tar), bytes, tar, annotations }
}

/** What lies before the landmark of each layer. */
export async function firstFiles(
  base: string,
  name: string,
  reference: string,
): Promise<(readonly string[] | undefined)[]> {
  const { document } = await getManifest(base, name, reference)
  const found = []
  for (const layer of document.layers) {
    found.push(await prioritiesIn(await getBlob(base, name, layer)))
  }
  return found
}

export async function prioritiesIn(bytes: Uint8Array): Promise<readonly string[] | undefined> {
  return await readPriorities({
    size: bytes.byteLength,
    read: ({ start, end }) => streamOf(bytes.subarray(start, end)),
  })
}

/** A record in a tar, in gzip. */
export async function packedRecord(name: string, text: string): Promise<Uint8Array> {
  return gzipSync(
    await tarOf([
      { name: 'other', body: 'no record' },
      { name, body: text },
    ]),
  )
}

function manifestOf(content: object): {
  readonly mediaType: string
  readonly digest: Digest
  readonly bytes: Uint8Array
} {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const bytes = json({ schemaVersion: 2, mediaType, ...content })
  return { mediaType, digest: digestOf(bytes), bytes }
}
