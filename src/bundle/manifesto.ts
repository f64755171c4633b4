/** Pure: the metadata files of a bundle and the order of its content, the same for the same images on any machine. */
import { type Digest, digestOf } from '../oci/digest.ts'
import type { Platform } from '../oci/manifest.ts'
import { fullName } from '../oci/repository.ts'
import { type Recipe, recipeText } from '../ports/recipe.ts'
import { type ExportedImage, type Named, named } from './bundle-names.ts'
import { type Cargo, platformsOf } from './cargo.ts'
import type {
  BundleDescription,
  BundledBlob,
  BundledImage,
  BundledLayer,
  RequiredBundle,
} from './description.ts'
import { formatDescription } from './description-file.ts'
import { dockerImages, refuseForDocker } from './docker-manifest.ts'
import type { ExportTask, PriorBundle } from './export-task.ts'
import type { LayerTravel } from './layer-travel.ts'
import {
  BUNDLED_NAME,
  DESCRIPTION_FILE,
  DOCKER_FILE,
  formatDockerManifest,
  formatLayoutIndex,
  INDEX_FILE,
  LAYOUT_CONTENT,
  LAYOUT_FILE,
  type LayoutRoot,
  nameAnnotations,
} from './layout-files.ts'
import { type LoadedBlob, pack } from './load.ts'
import { typeOf } from './referrers-index.ts'

/** Everything about a bundle but the blobs' bytes. */
export interface Manifesto {
  readonly files: readonly { readonly name: string; readonly content: string }[]
  /** In the order in which it is written. */
  readonly content: readonly LoadedBlob[]
  readonly description: BundleDescription
}

/** `travels`: how layers go, where that is not simply as they are. Throws `refused` for what a docker-archive cannot carry. */
export function writeManifesto(
  cargo: Cargo,
  exported: readonly ExportedImage[],
  { format, since }: Pick<ExportTask, 'format' | 'since'>,
  dockerPlatform: Platform,
  travels?: ReadonlyMap<Digest, LayerTravel>,
): Manifesto {
  const images = named(exported)
  const load = pack(cargo, new Set(since.flatMap(({ blobs }) => [...blobs])), travels ?? new Map())
  const { content, omitted, materials } = load
  const layers = travels && [...travels.values()].map(describeLayer).sort(byDigest)
  const description: BundleDescription = {
    images: images.map(describeImage),
    ...describeCargo(cargo),
    requires: requirements(since, omitted),
    blobs: content.filter(({ digest }) => !materials.has(digest)).map(plainBlob),
    ...(travels && {
      layers,
      materials: content.filter((one) => materials.has(one.digest)).map(plainBlob),
    }),
    omitted,
  }
  const docker = dockerImages(images, dockerPlatform, new Set(content.map(({ digest }) => digest)))
  if (format === 'docker') refuseForDocker(images, docker)
  const files = [
    { name: DESCRIPTION_FILE, content: formatDescription(description) },
    ...(format === 'oci' ? layoutFiles(cargo, images, travels) : []),
    ...(docker.size > 0
      ? [{ name: DOCKER_FILE, content: formatDockerManifest([...docker.values()]) }]
      : []),
  ]
  return { files, content, description }
}

function describeCargo({ manifests, conversions, lists }: Cargo) {
  return {
    manifests: manifests
      .map(({ repository, raw, tags }) => ({
        repository: `${fullName(repository)}`,
        digest: raw.digest,
        mediaType: raw.mediaType,
        size: raw.bytes.byteLength,
        tags: [...tags].sort(),
      }))
      .sort((a, b) => compare(a.repository, b.repository) || compare(a.digest, b.digest)),
    conversions: conversions
      .map(({ convertedAt: _, seconds: __, outputs: ___, ...made }) => made)
      .sort((a, b) => compare(a.target, b.target) || compareRecipes(a.recipe, b.recipe)),
    lists: lists
      .map((one) => ({
        repository: `${fullName(one.repository)}`,
        source: one.source,
        profile: one.profile,
        list: one.list,
      }))
      .sort((a, b) => compare(a.source, b.source) || compare(a.profile, b.profile)),
  }
}

function describeLayer(travel: LayerTravel): BundledLayer {
  if (travel.travels === 'whole') return travel
  const { blob: _, ...layer } = travel
  return layer
}

/** A layout names what other programs can load: where an image has layers that are to be rebuilt, it is none of these. */
function layoutFiles(
  cargo: Cargo,
  images: readonly Named[],
  travels: ReadonlyMap<Digest, LayerTravel> = new Map(),
): Manifesto['files'] {
  const isSplit = (digest: Digest) => travels.get(digest)?.travels === 'as-tar'
  const whole = images.filter(({ images: members }) =>
    members.every(({ manifest }) => !manifest.layers.some(({ digest }) => isSplit(digest))),
  )
  if (images.length > 0 && whole.length === 0) return []
  const withSources = ![...travels.keys()].some(isSplit)
  return [
    { name: LAYOUT_FILE, content: LAYOUT_CONTENT },
    { name: INDEX_FILE, content: formatLayoutIndex(rootsOf(cargo, whole, withSources)) },
  ]
}

function requirements(
  since: readonly PriorBundle[],
  omitted: readonly BundledBlob[],
): RequiredBundle[] {
  if (omitted.length === 0) return []
  const all = since.flatMap(({ bundle, name, blobs }) => [
    ...(bundle?.requires ?? []),
    { id: bundle?.id ?? digestOf(new TextEncoder().encode([...blobs].sort().join('\n'))), name },
  ])
  return [...new Map(all.map((one) => [one.id, one])).values()]
}

function describeImage(image: Named): BundledImage {
  const { conversion, root, images } = image
  const blobs = new Map(
    images
      .flatMap(({ manifest }) => [manifest.config, ...manifest.layers])
      .map(({ digest, size }) => [digest, size]),
  )
  return {
    name: image.name,
    reference: image.reference,
    digest: root.digest,
    mediaType: root.mediaType,
    ...(conversion && {
      profile: conversion.recipe.profile,
      revision: conversion.recipe.revision,
      source: conversion.source,
      withSource: image.withSource,
    }),
    platforms: platformsOf(images),
    ...(image.leftOut.length > 0 && { leftOut: image.leftOut }),
    ...(image.originals.length > 0 && { originals: image.originals }),
    size: [...blobs.values()].reduce((sum, size) => sum + size, 0),
    ...(image.forms.length > 0 && { forms: image.forms }),
  }
}

/** What `index.json` names: the images under their names, then sources and referrers, which are no images to load. */
export function rootsOf(
  cargo: Pick<Cargo, 'manifests' | 'attached'>,
  images: readonly Pick<Named, 'name' | 'root' | 'conversion' | 'withSource'>[],
  withSources: boolean,
): LayoutRoot[] {
  const roots = images.map(({ name, root }): LayoutRoot => {
    const { digest, mediaType, bytes } = root
    return { digest, mediaType, size: bytes.byteLength, annotations: nameAnnotations(name) }
  })
  const listed = new Set<Digest>(images.map(({ root }) => root.digest))
  const shown = withSources ? images.filter(({ withSource }) => withSource) : []
  const sources = new Set(shown.map(({ conversion }) => conversion?.source))
  const attached = new Set(cargo.attached)
  const others = cargo.manifests
    .filter((one) => attached.has(one) || sources.has(one.raw.digest))
    .sort((a, b) => compare(a.raw.digest, b.raw.digest))
  for (const { raw, parsed, repository, tags } of others) {
    if (listed.has(raw.digest)) continue
    listed.add(raw.digest)
    const [tag] = [...tags].sort()
    const { upstream, name } = repository
    roots.push({
      digest: raw.digest,
      mediaType: raw.mediaType,
      size: raw.bytes.byteLength,
      artifactType: parsed.subject === undefined ? undefined : typeOf(parsed),
      annotations: {
        [BUNDLED_NAME]: `${upstream}/${name}${tag === undefined ? `@${raw.digest}` : `:${tag}`}`,
      },
    })
  }
  return roots
}

function byDigest(a: BundledBlob, b: BundledBlob): number {
  return compare(a.digest, b.digest)
}

function plainBlob({ digest, size }: BundledBlob): BundledBlob {
  return { digest, size }
}

function compareRecipes(a: Recipe, b: Recipe): number {
  return compare(recipeText(a), recipeText(b))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
