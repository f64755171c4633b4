/** How the layers of an export travel: as they are, or as the tar in them and what it takes to make the very layer of it again. */
import { DecodeError } from '../codec/failure.ts'
import type { Job, LayerProgress, Progress } from '../convert/progress.ts'
import type { SingleLayers } from '../convert/single-layers.ts'
import { Unsuitable } from '../convert/unsuitable.ts'
import { corrections } from '../format/corrections.ts'
import { unlessAborted } from '../lib/aborted.ts'
import { Semaphore } from '../lib/semaphore.ts'
import type { Digest } from '../oci/digest.ts'
import { findMediaType, type MediaType } from '../oci/media-type.ts'
import type { ConvertedLayer } from '../ports/conversions.ts'
import type { LinkCatalog } from '../ports/links.ts'
import type { CargoBlob, CargoManifest } from './cargo.ts'
import type { RebuiltLayer, WholeLayer } from './description.ts'
import { MAX_CORRECTIONS } from './rebuilding.ts'

/** A layer and what it is rebuilt from. */
export interface SplitLayer extends RebuiltLayer {
  /** Which unpacks to the tar. */
  readonly blob: CargoBlob
}

export type LayerTravel = WholeLayer | SplitLayer

export interface TravelContext {
  readonly pieces: Pick<SingleLayers, 'convert'>
  readonly links: Pick<LinkCatalog, 'record'>
  /** Has a blob in the store, or on its way there, that may have gone since it was staged. */
  readonly recover: (blob: CargoBlob) => Promise<void>
  readonly progress: Progress
  /** Layers looked at at a time. */
  readonly concurrency: number
  /** Bytes of a tar that the far side takes. */
  readonly maxTarBytes: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Looks at each layer that is to travel; what is proven comes back to the last bit. `name`: what it is done for, for people.
 * A gzip layer is read several times, which takes as long as packing it anew would; what came of it is remembered.
 */
export async function planTravel(
  name: string,
  manifests: readonly CargoManifest[],
  blobs: readonly CargoBlob[],
  context: TravelContext,
): Promise<ReadonlyMap<Digest, LayerTravel>> {
  const types = layerTypes(manifests)
  const layers = blobs.filter(({ digest }) => types.has(digest))
  const rows = layers.map(rowOf)
  const job = begin(name, rows, context)
  const slots = new Semaphore(context.concurrency)
  const stop = new AbortController()
  const signal = context.signal ? AbortSignal.any([stop.signal, context.signal]) : stop.signal
  const look = async (blob: CargoBlob, i: number): Promise<LayerTravel> => {
    signal.throwIfAborted()
    const compression = types.get(blob.digest)?.compression ?? 'none'
    const travel =
      compression === 'gzip'
        ? await split(blob, (row) => (rows[i] = row), context)
        : whole(blob, REASONS[compression])
    const row = rows[i]
    if (row !== undefined && travel.travels === 'whole') row.stage = 'kept'
    return travel
  }
  try {
    const all = Promise.all(layers.map((blob, i) => slots.run(() => look(blob, i))))
    const travels = await unlessAborted(all, context.signal)
    context.progress.end(job, 'done')
    return new Map(travels.map((one) => [one.digest, one]))
  } catch (error) {
    stop.abort(error)
    context.progress.end(job, 'failed', error instanceof Error ? error.message : String(error))
    throw error
  }
}

/** Makes the corrections of a layer, or finds them: the same each time. They are kept as long as there is room for them. */
export async function correct(
  blob: CargoBlob,
  { pieces, links, recover }: Pick<TravelContext, 'pieces' | 'links' | 'recover'>,
  onBegun?: (row: LayerProgress) => void,
): Promise<ConvertedLayer> {
  const how = { encoding: corrections, options: {} }
  await recover(blob)
  const { repository } = blob
  const made = await pieces.convert(repository, blob, how, onBegun)
  // Beside the layer, and nothing that clients ask for.
  await links.record(repository, [{ digest: made.target, size: made.size, standing: 'named' }])
  return made
}

/** Why a layer that is not gzip travels as it is. */
const REASONS = {
  none: 'it is a tar as it is',
  zstd: 'it is zstd, of which only gzip layers are rebuilt',
} as const

function layerTypes(manifests: readonly CargoManifest[]): ReadonlyMap<Digest, MediaType> {
  const types = new Map<Digest, MediaType>()
  for (const { parsed } of manifests) {
    if (parsed.kind !== 'image') continue
    for (const { digest, mediaType } of parsed.layers) {
      const type = findMediaType(mediaType)
      if (type?.role === 'layer' && type.foreign !== true) types.set(digest, type)
    }
  }
  return types
}

function rowOf({ digest, size }: CargoBlob): LayerProgress {
  return { digest, size, stage: 'waiting', received: 0, written: 0 }
}

function begin(name: string, rows: readonly LayerProgress[], { progress }: TravelContext): Job {
  const job = progress.begin(name, 'looking for what rebuilds its layers')
  job.layers = rows
  job.state = 'converting'
  progress.changed(job)
  return job
}

async function split(
  blob: CargoBlob,
  onBegun: (row: LayerProgress) => void,
  context: TravelContext,
): Promise<LayerTravel> {
  try {
    const made = await correct(blob, context, onBegun)
    const { target, size, diffId, uncompressedSize, facts } = made
    if (uncompressedSize > context.maxTarBytes) {
      return whole(blob, 'its tar is larger than limits.blobSize allows')
    }
    if (size > MAX_CORRECTIONS) return whole(blob, 'what it would take to rebuild it is too much')
    return {
      ...{ digest: blob.digest, size: blob.size, travels: 'as-tar', encoder: facts.model ?? '' },
      tar: { digest: diffId, size: uncompressedSize },
      corrections: { digest: target, size },
      blob,
    }
  } catch (error) {
    const why = reasonToCarry(error)
    if (why === undefined) throw error
    return whole(blob, why)
  }
}

/** What is wrong with a layer is no reason to leave it here. */
function reasonToCarry(error: unknown): string | undefined {
  if (error instanceof Unsuitable) return error.why
  return error instanceof DecodeError ? error.message : undefined
}

function whole({ digest, size }: CargoBlob, why: string): WholeLayer {
  return { digest, size, travels: 'whole', why }
}
