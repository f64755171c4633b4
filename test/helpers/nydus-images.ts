/** Layers made into nydus blobs and a bootstrap over them, in memory. */
import { gzipSync } from 'node:zlib'
import { planBootstrap } from '../../src/format/nydus/bootstrap.ts'
import type { LayerTree } from '../../src/format/nydus/layer-tree.ts'
import { ImageTree } from '../../src/format/nydus/merge.ts'
import { encodeNative } from '../../src/format/nydus/native.ts'
import { type Layer, readLayer } from '../../src/format/nydus/read-blob.ts'
import { encodeZran } from '../../src/format/nydus/zran.ts'
import { digestOf, hexOf } from '../../src/oci/digest.ts'
import { chunked } from './bytes.ts'
import { listRafs, type RafsFile } from './rafs.ts'

export type Form = 'zstd' | 'none' | 'ref'

export interface NydusImage {
  readonly boot: Buffer
  readonly blobs: ReadonlyMap<string, Buffer>
  readonly layers: readonly Layer[]
  readonly files: readonly RafsFile[]
}

/** All bytes of an encoder. */
export async function bytesOf(stream: AsyncGenerator<Uint8Array, unknown>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of stream) parts.push(Uint8Array.from(part))
  return Buffer.concat(parts)
}

export function encode(
  tar: Uint8Array,
  form: Form,
  sizes: readonly number[] = [1e9],
): Promise<Buffer> {
  return form === 'ref'
    ? bytesOf(encodeZran(chunked(tar, sizes), { onTar() {} }))
    : bytesOf(encodeNative(chunked(tar, sizes), { compression: form }, { concurrency: 2 }))
}

/** The tree that an encoder finds in a tar. */
export async function treeOf(tar: Uint8Array): Promise<LayerTree> {
  const encoder = encodeNative(chunked(tar, [1e9]), { compression: 'zstd' }, { concurrency: 2 })
  for (;;) {
    const step = await encoder.next()
    if (step.done) return step.value
  }
}

/** Of tars, lowest first; for `ref` they are packed with gzip. */
export async function makeImage(tars: readonly Uint8Array[], form: Form): Promise<NydusImage> {
  const blobs = new Map<string, Buffer>()
  const image = new ImageTree()
  const layers: Layer[] = []
  for (const tar of tars) {
    const source = form === 'ref' ? gzipSync(tar) : tar
    if (form === 'ref') blobs.set(hexOf(digestOf(source)), Buffer.from(source))
    const blob = await encode(source, form)
    blobs.set(hexOf(digestOf(blob)), blob)
    const layer = await layerOf(blob, image)
    await image.put(layer.tree)
    layers.push(layer)
  }
  const bootstrap = await planBootstrap(image)
  const boot = Buffer.concat([...bootstrap.parts()])
  return { boot, blobs, layers, files: listRafs(boot, blobs) }
}

export function layerOf(blob: Buffer, image = new ImageTree()): Promise<Layer> {
  const read = async (at: number, size: number) => blob.subarray(at, at + size)
  return readLayer({ digest: digestOf(blob), size: blob.length, read }, image)
}
