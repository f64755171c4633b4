/** The manifest, index and config of a conversion, put together from what was made of layers and children. */
import {
  type Assembled,
  type AssemblyContext,
  type ConvertedChild,
  type Format,
  LayerRefusedError,
  type Piece,
  type SideDocument,
} from '../format/format.ts'
import type { ByteStream } from '../lib/streams.ts'
import { type Digest, digestOf, Hasher } from '../oci/digest.ts'
import type { Dialect } from '../oci/media-type.ts'
import type { Named } from '../oci/named.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import { type Rewritten, rewriteImage, rewriteIndex } from '../oci/rewrite.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import type { RawManifest } from '../ports/upstream.ts'
import { type Blobs, blobUnknown } from '../pull/blobs.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { ImageTask } from './image-task.ts'
import type { ImagePlan, IndexPlan } from './plan.ts'
import type { Regenerations } from './regenerations.ts'
import { Unsuitable } from './unsuitable.ts'

/** A manifest, and what was made for it that it does not name as a layer. Everything but the manifest is in the store. */
export interface AssembledImage {
  readonly manifest: Rewritten
  readonly beside: Beside
}

/** An image to be written in a dialect. */
export interface AssemblyTask extends Pick<ImagePlan, 'raw' | 'image'> {
  readonly dialect: Dialect
  /** Why layers of which it can do without a piece have none. */
  readonly refusals?: readonly string[]
}

export type BesideManifest = RawManifest & Pick<SideDocument, 'isReferrer'>

export interface Beside {
  /** Manifests that stand beside the image, or refer to its source. */
  readonly documents: readonly BesideManifest[]
  /** Blobs that were made of several layers. */
  readonly blobs: readonly Named[]
}

/** Where that goes which assembling makes beside the manifest. */
export interface Keeping {
  write(bytes: ByteStream): Promise<{ readonly digest: Digest; readonly size: number }>
  put(document: { readonly digest: Digest; readonly bytes: Uint8Array }): Promise<void>
}

export interface AssemblerDeps {
  readonly keeping: Keeping
  readonly blobs: Pick<Blobs, 'openStored'>
  readonly regenerations: Pick<Regenerations, 'open'>
}

/** Durable in the store. */
export function keptIn(
  store: Pick<BlobStore, 'create'>,
  manifests: Pick<Manifests, 'put'>,
): Keeping {
  return {
    async put(document) {
      await manifests.put(document)
    },
    async write(bytes) {
      const writer = await store.create({})
      try {
        for await (const chunk of bytes) await writer.write(chunk)
        return await writer.commit()
      } catch (error) {
        await writer.abort(error)
        throw error
      }
    },
  }
}

/** Nowhere: for whoever only asks what would come out. */
export const FORGOTTEN: Keeping = {
  async put() {},
  async write(bytes) {
    const hasher = new Hasher()
    for await (const chunk of bytes) hasher.update(chunk)
    return { size: hasher.size, digest: hasher.digest() }
  },
}

export class Assembler {
  readonly #deps: AssemblerDeps

  constructor(deps: AssemblerDeps) {
    this.#deps = deps
  }

  /** `pieces`: one for each layer, in order; `undefined` for those of which the plan makes none. */
  async image(
    task: ImageTask,
    { raw, image, dialect, refusals = [] }: AssemblyTask,
    source: { readonly config: Uint8Array; readonly diffIds: readonly Digest[] },
    pieces: readonly (Piece | undefined)[],
  ): Promise<AssembledImage> {
    const { repository, options } = task
    const blobs: Named[] = []
    const context: AssemblyContext = {
      options,
      refusals,
      read: (piece, range) => this.#read(repository, piece.target, range),
      write: async (bytes) => {
        const stat = await this.#deps.keeping.write(bytes)
        blobs.push(stat)
        return stat
      },
    }
    const { mediaType, digest, bytes } = raw
    const subject = { mediaType, digest, size: bytes.byteLength }
    const what = { image, dialect, subject, ...source }
    const made = await this.#assembled(task, what, pieces, context)
    const config = made.config && { digest: digestOf(made.config), bytes: made.config }
    if (config !== undefined) await this.#deps.keeping.put(config)
    const documents = await Promise.all((made.documents ?? []).map((one) => this.#keep(one)))
    const manifest = rewriteImage(image, {
      dialect,
      layers: made.layers,
      configType: made.configType,
      annotations: { ...made.annotations, ...annotationsOf(task, raw.digest) },
      ...(config && { config: { digest: config.digest, size: config.bytes.byteLength } }),
    })
    return { manifest, beside: { documents, blobs } }
  }

  async #assembled(
    { repository, format, source: { digest } }: ImageTask,
    ...how: Parameters<Format['assemble']>
  ): Promise<Assembled> {
    try {
      return await format.assemble(...how)
    } catch (error) {
      if (!(error instanceof LayerRefusedError)) throw error
      throw new Unsuitable(`image ${digest}`, repository, format.name, error.message)
    }
  }

  /** Also of a piece that was evicted meanwhile. */
  async *#read(
    repository: Repository,
    digest: Digest,
    range: { readonly start: number; readonly end: number },
  ): AsyncGenerator<Uint8Array> {
    const blob =
      (await this.#deps.blobs.openStored(digest)) ??
      (await this.#deps.regenerations.open(repository, digest))
    if (blob === undefined) throw blobUnknown(repository, digest)
    yield* blob.read(range)
  }

  async #keep({ mediaType, bytes, blobs, isReferrer }: SideDocument): Promise<BesideManifest> {
    for (const blob of blobs) await this.#deps.keeping.put({ digest: digestOf(blob), bytes: blob })
    const raw = { mediaType, bytes, digest: digestOf(bytes) }
    await this.#deps.keeping.put(raw)
    return { ...raw, ...(isReferrer && { isReferrer }) }
  }
}

/** What an index has to know of a conversion. */
export type MadeChild = Pick<ConvertedImage, 'target' | 'size' | 'mediaType' | 'outputs'>

/** Pure. `children`: those that were converted, by the digest of their source; the others stay what they are. */
export function assembleIndex(
  task: ImageTask,
  { raw, index, dialect }: Pick<IndexPlan, 'raw' | 'index' | 'dialect'>,
  children: ReadonlyMap<Digest, MadeChild>,
): Rewritten {
  const { format, options } = task
  const changes = [...children].map(([source, made]) => {
    const child = convertedChild(made)
    const { digest, size, mediaType } = child
    const instead = { digest, size, mediaType }
    return [source, format.inIndex?.place(child, options) ?? { instead }] as const
  })
  return rewriteIndex(index, {
    dialect,
    annotations: annotationsOf(task, raw.digest),
    children: new Map(changes),
  })
}

function convertedChild({ target: digest, size, mediaType, outputs }: MadeChild): ConvertedChild {
  const documents = outputs.flatMap(({ isReferrer, mediaType: type, ...one }) =>
    type === undefined || isReferrer ? [] : [{ ...one, mediaType: type }],
  )
  return { digest, size, mediaType, documents }
}

/** Names the repository but no tag: two tags of one digest give the same bytes. */
function annotationsOf(task: ImageTask, source: Digest): Record<string, string> {
  return {
    'dev.crossdock.source.digest': source,
    'dev.crossdock.source.ref': `${fullName(task.repository)}@${source}`,
    'dev.crossdock.profile': task.profile,
    'dev.crossdock.revision': String(task.format.revision),
  }
}
