/** Pure: the manifest, index and config of a conversion, put together from what was made of layers and children. */
import type { Piece } from '../format/format.ts'
import { type Digest, digestOf } from '../oci/digest.ts'
import type { ImageConfig } from '../oci/manifest.ts'
import { type Rewritten, rewriteImage, rewriteIndex } from '../oci/rewrite.ts'
import type { ConvertedImage } from '../ports.ts'
import type { ImageTask } from './image-task.ts'
import type { ImageSurvey, IndexSurvey } from './survey.ts'

export interface AssembledImage {
  readonly manifest: Rewritten
  /** Present where the format changed diffIDs; else the config is the source's. */
  readonly config?: { readonly digest: Digest; readonly bytes: Uint8Array }
}

/** `pieces`: one for each layer, in order; `undefined` for those of which the plan makes none. */
export function assembleImage(
  task: ImageTask,
  { raw, image, plan }: Pick<ImageSurvey, 'raw' | 'image' | 'plan'>,
  source: Pick<ImageConfig, 'diffIds'> & { readonly bytes: Uint8Array },
  pieces: readonly (Piece | undefined)[],
): AssembledImage {
  const { diffIds, bytes } = source
  const { dialect } = plan
  const made = task.format.assemble({ image, diffIds, config: bytes, dialect }, pieces)
  const config = made.config && { digest: digestOf(made.config), bytes: made.config }
  const manifest = rewriteImage(image, {
    dialect,
    layers: made.layers,
    annotations: { ...made.annotations, ...annotationsOf(task, raw.digest) },
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

/** Names the repository but no tag: two tags of one digest give the same bytes. */
function annotationsOf(task: ImageTask, source: Digest): Record<string, string> {
  return {
    'dev.crossdock.source.digest': source,
    'dev.crossdock.source.ref': `${task.repository.upstream}/${task.repository.name}@${source}`,
    'dev.crossdock.profile': task.profile,
    'dev.crossdock.revision': String(task.format.revision),
  }
}
