/** Pure: the manifest, index and config of a conversion, put together from what was made of layers and children. */
import type { Format } from '../format/format.ts'
import { type Digest, digestOf } from '../oci/digest.ts'
import type { ImageConfig } from '../oci/manifest.ts'
import {
  type LayerChange,
  patchDiffIds,
  type Rewritten,
  rewriteImage,
  rewriteIndex,
} from '../oci/rewrite.ts'
import type { ConvertedImage, ConvertedLayer } from '../ports.ts'
import type { ImageTask } from './image-task.ts'
import type { ImageSurvey, IndexSurvey } from './survey.ts'

export interface AssembledImage {
  readonly manifest: Rewritten
  /** Present where the format changed diffIDs; else the config is the source's. */
  readonly config?: { readonly digest: Digest; readonly bytes: Uint8Array }
}

/** `converted`: one for each layer, in order; `undefined` for those that the plan keeps. */
export function assembleImage(
  task: ImageTask,
  { raw, image, plan }: Pick<ImageSurvey, 'raw' | 'image' | 'plan'>,
  source: Pick<ImageConfig, 'diffIds'> & { readonly bytes: Uint8Array },
  converted: readonly (ConvertedLayer | undefined)[],
): AssembledImage {
  const layers = image.layers.map((_, i): LayerChange => {
    const layer = converted[i]
    const step = plan.steps[i]
    if (layer === undefined || step?.kind !== 'convert') return { keep: true }
    const annotations = annotationsOfLayer(task.format, layer)
    return { digest: layer.target, size: layer.size, mediaType: step.mediaType, annotations }
  })
  const config = task.format.keepsDiffIds ? undefined : patchedConfig(source, converted)
  const manifest = rewriteImage(image, {
    dialect: plan.dialect,
    layers,
    annotations: annotationsOf(task, raw.digest),
    ...(config && { config: { digest: config.digest, size: config.bytes.byteLength } }),
  })
  return { manifest, ...(config && { config }) }
}

/** `children`: those that were converted, by the digest of their source; the others stay what they are. */
export function assembleIndex(
  task: ImageTask,
  { raw, index, dialect }: Pick<IndexSurvey, 'raw' | 'index' | 'dialect'>,
  children: ReadonlyMap<Digest, ConvertedImage>,
): Rewritten {
  const descriptors = [...children].map(
    ([source, { target: digest, size, mediaType }]) =>
      [source, { digest, size, mediaType }] as const,
  )
  return rewriteIndex(index, {
    dialect,
    annotations: annotationsOf(task, raw.digest),
    children: new Map(descriptors),
  })
}

function patchedConfig(
  source: Pick<ImageConfig, 'diffIds'> & { readonly bytes: Uint8Array },
  converted: readonly (ConvertedLayer | undefined)[],
): { readonly digest: Digest; readonly bytes: Uint8Array } {
  const diffIds = source.diffIds.map((diffId, i) => converted[i]?.diffId ?? diffId)
  const bytes = patchDiffIds(source.bytes, diffIds)
  return { digest: digestOf(bytes), bytes }
}

/** Names the repository but no tag: two tags of one digest give the same bytes. */
function annotationsOf(task: ImageTask, source: Digest): Record<string, string> {
  return {
    'dev.crossdock.source.digest': source,
    'dev.crossdock.source.ref': `${task.repository.upstream}/${task.repository.name}@${source}`,
    'dev.crossdock.profile': task.profile,
    'dev.crossdock.revision': String(task.format.revision),
  }
}

function annotationsOfLayer(
  format: Format,
  layer: ConvertedLayer,
): Readonly<Record<string, string>> {
  return layer.fallback === undefined ? (format.annotations?.(layer.facts) ?? {}) : {}
}
