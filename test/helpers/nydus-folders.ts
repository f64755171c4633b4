/** Nydus images made on disk of layers on disk, and what judges them: Nydus's own crates and the kernel's EROFS. */
import { createReadStream } from 'node:fs'
import { link, open, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeLayer } from '../../src/codec/codecs.ts'
import { LayerRefusedError } from '../../src/format/format.ts'
import { planBootstrap } from '../../src/format/nydus/bootstrap.ts'
import { ImageTree } from '../../src/format/nydus/merge.ts'
import { encodeNative } from '../../src/format/nydus/native.ts'
import { type Layer, readLayer } from '../../src/format/nydus/read-blob.ts'
import { encodeZran } from '../../src/format/nydus/zran.ts'
import type { ByteStream } from '../../src/lib/streams.ts'
import { Hasher, hexOf } from '../../src/oci/digest.ts'
import { SHARED } from './fixtures.ts'
import { mustRun } from './fixtures-command.ts'
import { askOracle } from './oracles.ts'
import type { Form } from './nydus-images.ts'

const LIMITS = { maxOutput: 2 ** 33, maxWindowLog: 27 }

export interface NydusFolder {
  readonly boot: string
  readonly folder: string
  /** The tars of the layers, lowest first. */
  readonly tars: readonly string[]
  /** Why layers have their own data though they were not to have any. */
  readonly fallbacks: readonly string[]
}

/** `layers`: files with compressed layers, lowest first; blobs, tars and the bootstrap go to `folder`. */
export async function makeFolder(
  folder: string,
  layers: readonly string[],
  form: Form,
): Promise<NydusFolder> {
  const image = new ImageTree()
  const tars: string[] = []
  const fallbacks: string[] = []
  for (const [i, layer] of layers.entries()) {
    const tar = join(folder, `${i}.tar`)
    await writeFile(tar, decodeLayer(createReadStream(layer), LIMITS))
    tars.push(tar)
    const made = await makeLayer(folder, layer, tar, form, { image, fallbacks })
    await image.put(made.tree)
  }
  const bootstrap = await planBootstrap(image)
  const boot = join(folder, 'image.boot')
  await writeFile(boot, bootstrap.parts())
  return { boot, folder, tars, fallbacks }
}

interface Notes {
  readonly image: ImageTree
  readonly fallbacks: string[]
}

async function makeLayer(
  folder: string,
  layer: string,
  tar: string,
  form: Form,
  notes: Notes,
): Promise<Layer> {
  if (form === 'ref') {
    try {
      const zran = encodeZran(createReadStream(layer), { onTar() {} })
      const described = await keep(folder, zran, notes)
      const { blob } = described
      if (blob !== undefined) await link(layer, join(folder, blob.id)).catch(() => undefined)
      return described
    } catch (error) {
      if (!(error instanceof LayerRefusedError)) throw error
      notes.fallbacks.push(error.message)
    }
  }
  const compression = form === 'none' ? 'none' : 'zstd'
  const native = encodeNative(createReadStream(tar), { compression }, { concurrency: 2 })
  return await keep(folder, native, notes)
}

/** Stores a blob under its digest and reads its layer from it. */
async function keep(folder: string, bytes: ByteStream, { image }: Notes): Promise<Layer> {
  const hasher = new Hasher()
  const temporary = join(folder, 'temporary')
  await writeFile(temporary, hashed(bytes, hasher))
  const { size } = hasher
  const digest = hasher.digest()
  const path = join(folder, hexOf(digest))
  await rename(temporary, path)
  const file = await open(path)
  try {
    const read = async (at: number, length: number) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at)
      if (bytesRead < length) throw new Error('a blob that is too short')
      return buffer
    }
    return await readLayer({ digest, size, read }, image)
  } finally {
    await file.close()
  }
}

async function* hashed(bytes: ByteStream, hasher: Hasher): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    hasher.update(chunk)
    yield chunk
  }
}

/**
 * Who says what the layers' tars hold: the readers of both oracles; Python's alone, where the other's cannot read them; nobody, where
 * they see another tree than Go's reader, and so than runtimes.
 */
export type TarReaders = 'both' | 'python' | 'nobody'

/**
 * Throws unless Nydus's own code and the kernel see one tree, byte for byte, and that of the tars. Returns the tree: a JSON object for
 * each file.
 */
export async function judgeFolder(made: NydusFolder, readers: TarReaders): Promise<string> {
  const where = [made.boot, '--blobs', made.folder]
  const sources = made.tars.flatMap((tar) => ['--source-tar', tar])
  const kernel = [join(SHARED, 'oracles/nydus/erofs-check.py'), ...where, '--list']
  const { stdout } = await mustRun('python3', [...kernel, ...(readers === 'nobody' ? [] : sources)])
  const listing = join(made.folder, 'listing')
  await writeFile(listing, stdout)
  const expected = readers === 'both' ? sources : ['--expect', listing]
  await askOracle('oracle-nydus', ['check', ...where, ...expected])
  return stdout
}

/** The paths of an image's layers in the layout of the fixtures. */
export async function layersIn(layout: string, name: string): Promise<readonly string[]> {
  const path = (digest: string) => join(layout, 'blobs/sha256', digest.slice('sha256:'.length))
  const json = async (file: string) => JSON.parse(await readFile(file, 'utf8'))
  const { manifests } = await json(join(layout, 'index.json'))
  const isNamed = (one: { annotations?: Record<string, string> }) =>
    one.annotations?.['org.opencontainers.image.ref.name'] === name
  let document = await json(path(manifests.find(isNamed).digest))
  if (document.manifests !== undefined) {
    const isOurs = (one: { platform?: { architecture: string } }) =>
      one.platform?.architecture === 'amd64'
    document = await json(path(document.manifests.find(isOurs).digest))
  }
  return document.layers.map(({ digest }: { digest: string }) => path(digest))
}
