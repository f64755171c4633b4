/** How the layers of an export travel: as they are, or as the tar in them and what it takes to make the very layer of it again. */
import type { Analysis } from '../codec/restore/analyse.ts'
import type { Job, LayerProgress, Progress } from '../convert/progress.ts'
import { Semaphore } from '../lib/semaphore.ts'
import type { ByteStream } from '../lib/streams.ts'
import { type Digest, digestOf, parseDigest } from '../oci/digest.ts'
import { findMediaType, type MediaType } from '../oci/media-type.ts'
import type { CargoBlob, CargoManifest } from './cargo.ts'
import type { RebuiltLayer, WholeLayer } from './description.ts'
import { MAX_CORRECTIONS } from './rebuilding.ts'
import type { RestoreCodec } from './restore-codec.ts'

/** A layer and what it is rebuilt from, with the bytes that no blob of the image holds. */
export interface SplitLayer extends RebuiltLayer {
  readonly bytes: Uint8Array
  /** Which unpacks to the tar. */
  readonly blob: CargoBlob
}

export type LayerTravel = WholeLayer | SplitLayer

export interface TravelContext {
  readonly codec: RestoreCodec
  readonly open: (blob: CargoBlob) => Promise<{ read(): ByteStream }>
  readonly progress: Progress
  /** Layers looked at at a time. */
  readonly concurrency: number
  /** Bytes of a tar that the far side takes. */
  readonly maxTarBytes: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Looks at each layer that is to travel; what is proven comes back to the last bit. `name`: what it is done for, for people.
 * Reads every gzip layer several times, and takes as long as packing it anew would.
 */
export async function planTravel(
  name: string,
  manifests: readonly CargoManifest[],
  blobs: readonly CargoBlob[],
  context: TravelContext,
): Promise<ReadonlyMap<Digest, LayerTravel>> {
  const types = layerTypes(manifests)
  const layers = blobs.filter(({ digest }) => types.has(digest))
  const rows = layers.map(
    ({ digest, size }): LayerProgress => ({
      digest,
      size,
      stage: 'waiting',
      received: 0,
      written: 0,
    }),
  )
  const job = begin(name, rows, context)
  const slots = new Semaphore(context.concurrency)
  const stop = new AbortController()
  const signal = context.signal ? AbortSignal.any([stop.signal, context.signal]) : stop.signal
  const look = async (blob: CargoBlob, i: number): Promise<LayerTravel | undefined> => {
    const row = rows[i]
    const type = types.get(blob.digest)
    if (row === undefined || type === undefined || signal.aborted) return undefined
    const { compression = 'none' } = type
    if (compression !== 'gzip') return endRow(row, whole(blob, REASONS[compression]))
    return endRow(row, await analyse(blob, row, { ...context, signal }))
  }
  try {
    const travels = await Promise.all(
      layers.map((blob, i) =>
        slots
          .run(() => look(blob, i))
          .catch((error) => {
            stop.abort(error)
            return undefined
          }),
      ),
    )
    signal.throwIfAborted()
    context.progress.end(job, 'done')
    return new Map(travels.filter((one) => one !== undefined).map((one) => [one.digest, one]))
  } catch (error) {
    context.progress.end(job, 'failed', error instanceof Error ? error.message : String(error))
    throw error
  }
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

function begin(name: string, rows: readonly LayerProgress[], { progress }: TravelContext): Job {
  const job = progress.begin(name, 'looking for what rebuilds its layers')
  job.layers = rows
  job.state = 'converting'
  progress.changed(job)
  return job
}

function endRow(row: LayerProgress, travel: LayerTravel): LayerTravel {
  row.stage = travel.travels === 'whole' ? 'kept' : 'done'
  return travel
}

/** Of the two full passes over a layer, each is half of what is shown. */
const PASSES = 2

async function analyse(
  blob: CargoBlob,
  row: LayerProgress,
  { codec, open, signal, maxTarBytes }: TravelContext,
): Promise<LayerTravel> {
  row.stage = 'converting'
  const stored = await open(blob)
  async function* read(): AsyncGenerator<Uint8Array> {
    for await (const chunk of stored.read()) {
      signal?.throwIfAborted()
      row.received += chunk.byteLength / PASSES
      yield chunk
    }
  }
  const found = await codec.analyse(read, { signal })
  if (found.kind === 'carry') return whole(blob, found.why)
  if (found.tar.size > maxTarBytes) {
    return whole(blob, 'its tar is larger than limits.blobSize allows')
  }
  if (found.corrections.byteLength > MAX_CORRECTIONS) {
    return whole(blob, 'what it would take to rebuild it is too much')
  }
  return split(blob, found)
}

function whole({ digest, size }: CargoBlob, why: string): WholeLayer {
  return { digest, size, travels: 'whole', why }
}

function split(blob: CargoBlob, found: Analysis & { readonly kind: 'restorable' }): SplitLayer {
  const { corrections: bytes, model: encoder, tar } = found
  const { digest, size } = blob
  return {
    ...{ digest, size, travels: 'as-tar', encoder },
    tar: { digest: parseDigest(`sha256:${tar.sha256}`), size: tar.size },
    corrections: { digest: digestOf(bytes), size: bytes.byteLength },
    ...{ bytes, blob },
  }
}
