/** Writes a record image: one layer that holds the record, so that any registry keeps it (stargz-snapshotter pull request 642). */
import { gzip } from '../codec/gzip.ts'
import { RECORD_NAME, type RecordLine, writeRecord } from '../format/priorities.ts'
import { collect, streamOf } from '../lib/streams.ts'
import { type Digest, digestOf } from '../oci/digest.ts'
import type { Descriptor, Platform } from '../oci/manifest.ts'
import { CONFIG_TYPES, layerMediaType, MANIFEST_TYPES } from '../oci/media-type.ts'
import type { RawManifest } from '../ports/upstream.ts'
import { BLOCK_SIZE } from '../tar/block.ts'
import { fileHeader, paddingOf } from '../tar/writer.ts'
import { RECORD_ARTIFACT } from './priority-lists.ts'

export interface RecordImage {
  readonly manifest: RawManifest
  /** Layer and config. */
  readonly blobs: readonly RecordBlob[]
}

export interface RecordBlob {
  readonly digest: Digest
  readonly bytes: Uint8Array
}

export type Subject = Pick<Descriptor, 'mediaType' | 'digest' | 'size'>

/** A tar ends with two empty blocks. */
const END_SIZE = 2 * BLOCK_SIZE
const LEVEL = 9

/** The same lines and platform give the same image. With a subject it is a referrer besides. */
export async function buildRecordImage(
  lines: readonly RecordLine[],
  platform: Platform,
  subject?: Subject,
): Promise<RecordImage> {
  const tar = tarOf(encode(writeRecord(lines)))
  const packed = gzip.encode(streamOf(tar), LEVEL, { concurrency: 1 })
  const layer = blobOf(await collect(packed, Number.POSITIVE_INFINITY))
  const { architecture, os } = platform
  const rootfs = { type: 'layers', diff_ids: [digestOf(tar)] }
  const config = blobOf(encode(`${JSON.stringify({ architecture, os, config: {}, rootfs })}\n`))
  const bytes = encode(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPES.oci,
      ...(subject && { artifactType: RECORD_ARTIFACT }),
      config: descriptorOf(CONFIG_TYPES.oci, config),
      layers: [descriptorOf(layerMediaType('oci', 'gzip') ?? '', layer)],
      ...(subject && { subject }),
    }),
  )
  const manifest = { mediaType: MANIFEST_TYPES.oci, digest: digestOf(bytes), bytes }
  return { manifest, blobs: [layer, config] }
}

function tarOf(record: Uint8Array): Uint8Array {
  const { byteLength } = record
  const end = new Uint8Array(paddingOf(byteLength) + END_SIZE)
  return Buffer.concat([fileHeader(RECORD_NAME, byteLength), record, end])
}

function blobOf(bytes: Uint8Array): RecordBlob {
  return { digest: digestOf(bytes), bytes }
}

function descriptorOf(mediaType: string, { digest, bytes }: RecordBlob): Subject {
  return { mediaType, digest, size: bytes.byteLength }
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
