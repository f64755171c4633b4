/** Pure: the metadata files of a bundle and the order of its content, the same for the same images on any machine. */
import { type Digest, digestOf } from '../oci/digest.ts'
import type { Platform } from '../oci/manifest.ts'
import { fullName } from '../oci/repository.ts'
import { type Recipe, recipeText } from '../ports/recipe.ts'
import { type ExportedImage, type Named, named } from './bundle-names.ts'
import { type Cargo, type CargoBlob, platformsOf } from './cargo.ts'
import type { BundleDescription, BundledBlob, BundledImage, RequiredBundle } from './description.ts'
import { formatDescription } from './description-file.ts'
import { dockerImages, refuseForDocker } from './docker-manifest.ts'
import type { ExportTask, PriorBundle } from './export-task.ts'
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
import { typeOf } from './referrers-index.ts'

/** Everything about a bundle but the blobs' bytes. */
export interface Manifesto {
  readonly files: readonly { readonly name: string; readonly content: string }[]
  /** In the order in which it is written. */
  readonly content: readonly (CargoBlob | (BundledBlob & { readonly bytes: Uint8Array }))[]
  readonly description: BundleDescription
}

/** Throws `refused` for what a docker-archive cannot carry. */
export function writeManifesto(
  cargo: Cargo,
  exported: readonly ExportedImage[],
  { format, since, withSources }: Pick<ExportTask, 'format' | 'since' | 'withSources'>,
  dockerPlatform: Platform,
): Manifesto {
  const images = named(exported)
  const prior = new Set(since.flatMap(({ blobs }) => [...blobs]))
  const all = contentOf(cargo)
  const content = all.filter(({ digest }) => !prior.has(digest))
  const omitted = all.filter(({ digest }) => prior.has(digest)).map(plainBlob)
  const description: BundleDescription = {
    images: images.map((image) => describeImage(image, withSources)),
    manifests: cargo.manifests
      .map(({ repository, raw, tags }) => ({
        repository: `${fullName(repository)}`,
        digest: raw.digest,
        mediaType: raw.mediaType,
        size: raw.bytes.byteLength,
        tags: [...tags].sort(),
      }))
      .sort((a, b) => compare(a.repository, b.repository) || compare(a.digest, b.digest)),
    conversions: cargo.conversions
      .map(({ convertedAt: _, seconds: __, outputs: ___, ...made }) => made)
      .sort((a, b) => compare(a.target, b.target) || compareRecipes(a.recipe, b.recipe)),
    lists: cargo.lists
      .map((one) => ({
        repository: `${fullName(one.repository)}`,
        source: one.source,
        profile: one.profile,
        list: one.list,
      }))
      .sort((a, b) => compare(a.source, b.source) || compare(a.profile, b.profile)),
    requires: requirements(since, omitted),
    blobs: content.map(plainBlob),
    omitted,
  }
  const docker = dockerImages(images, dockerPlatform, new Set(content.map(({ digest }) => digest)))
  if (format === 'docker') refuseForDocker(images, docker)
  const files = [
    ...(format === 'oci' ? [{ name: LAYOUT_FILE, content: LAYOUT_CONTENT }] : []),
    { name: DESCRIPTION_FILE, content: formatDescription(description) },
    ...(format === 'oci'
      ? [{ name: INDEX_FILE, content: formatLayoutIndex(rootsOf(cargo, images, withSources)) }]
      : []),
    ...(docker.size > 0
      ? [{ name: DOCKER_FILE, content: formatDockerManifest([...docker.values()]) }]
      : []),
  ]
  return { files, content, description }
}

/** Manifests, then configs and layers, each once; sorted where the order of arguments would show. */
function contentOf(cargo: Cargo): Manifesto['content'] {
  const manifests = new Map<Digest, BundledBlob & { readonly bytes: Uint8Array }>()
  for (const { raw } of cargo.manifests) {
    const { digest, bytes } = raw
    manifests.set(digest, { digest, size: bytes.byteLength, bytes })
  }
  const blobs = cargo.blobs.filter(({ digest }) => !manifests.has(digest))
  // Small things first: configs and documents, so that readers know what is coming.
  const sorted = [...blobs].sort((a, b) => a.size - b.size || compare(a.digest, b.digest))
  return [...[...manifests.values()].sort((a, b) => compare(a.digest, b.digest)), ...sorted]
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

function describeImage(image: Named, withSources: boolean): BundledImage {
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
      profile: conversion.profile,
      revision: conversion.recipe.revision,
      source: conversion.source,
      withSource: withSources,
    }),
    platforms: platformsOf(images),
    ...(image.leftOut.length > 0 && { leftOut: image.leftOut }),
    ...(image.originals.length > 0 && { originals: image.originals }),
    size: [...blobs.values()].reduce((sum, size) => sum + size, 0),
  }
}

/** What `index.json` names: the images under their names, then sources and referrers, which are no images to load. */
export function rootsOf(
  cargo: Pick<Cargo, 'manifests' | 'attached'>,
  images: readonly Pick<Named, 'name' | 'root' | 'conversion'>[],
  withSources: boolean,
): LayoutRoot[] {
  const roots = images.map(({ name, root }): LayoutRoot => {
    const { digest, mediaType, bytes } = root
    return { digest, mediaType, size: bytes.byteLength, annotations: nameAnnotations(name) }
  })
  const listed = new Set<Digest>(images.map(({ root }) => root.digest))
  const shown = withSources ? images : []
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

function plainBlob({ digest, size }: BundledBlob): BundledBlob {
  return { digest, size }
}

function compareRecipes(a: Recipe, b: Recipe): number {
  return compare(recipeText(a), recipeText(b))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
