/** Pure: what `manifest.json` of a bundle names, for `docker load`, and what a docker-archive cannot carry. */
import { CrossdockError } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import { describeUnconvertible, isAttestation, lazyKind } from '../oci/image-kind.ts'
import type { ImageManifest, Platform } from '../oci/manifest.ts'
import { findMediaType } from '../oci/media-type.ts'
import { matchesPlatform } from '../oci/platform.ts'
import type { Named } from './bundle-names.ts'
import type { DockerImage } from './layout-files.ts'

/** Of each image the one that a Docker of this platform runs; left out when a part of it is not in the bundle. */
export function dockerImages(
  images: readonly Named[],
  platform: Platform,
  here: ReadonlySet<Digest>,
): Map<Named, DockerImage> {
  const found = new Map<Named, DockerImage>()
  for (const image of images) {
    const manifest = chooseImage(image, platform)
    if (manifest === undefined || describeUnconvertible(manifest) !== undefined) continue
    const parts = [manifest.config, ...manifest.layers]
    const isWhole = parts.every(
      (part) => here.has(part.digest) && findMediaType(part.mediaType)?.foreign !== true,
    )
    if (!isWhole) continue
    found.set(image, {
      config: manifest.config.digest,
      layers: manifest.layers.map(({ digest }) => digest),
      names: image.tag !== undefined && /[/:]/.test(image.name) ? [image.name] : [],
    })
  }
  return found
}

function chooseImage(image: Named, wanted: Platform): ImageManifest | undefined {
  const runnable = image.images.filter(
    ({ manifest, platform }) =>
      platform === undefined || !isAttestation({ ...manifest, size: 0, platform }),
  )
  const fitting = runnable.find(({ platform }) => platform && matchesPlatform(wanted, platform))
  return (fitting ?? runnable[0])?.manifest
}

/** Throws `refused` for what a docker-archive cannot carry. */
export function refuseForDocker(
  images: readonly Named[],
  docker: ReadonlyMap<Named, DockerImage>,
): void {
  for (const image of images) {
    const chosen = docker.get(image)
    if (chosen === undefined) {
      const lazy = unreadable(image)
      if (lazy !== undefined) {
        throw new CrossdockError(
          'refused',
          `${image.reference} is a ${lazy} image, which Docker cannot load; export its -gzip or -none form, or use --format oci`,
        )
      }
      throw new CrossdockError(
        'refused',
        `${image.reference} cannot go into a docker-archive: it is no image of layers, or parts of it lie elsewhere; use --format oci`,
      )
    }
    const zstd = image.images
      .filter(({ manifest }) => manifest.config.digest === chosen.config)
      .flatMap(({ manifest }) => manifest.layers)
      .find(({ mediaType }) => findMediaType(mediaType)?.compression === 'zstd')
    if (zstd === undefined) continue
    throw new CrossdockError(
      'refused',
      `${image.reference} has zstd layers, which docker load before Docker 23 cannot read; export its -gzip or -none form, or use --format oci`,
    )
  }
}

/** Of an image whose layers only a snapshotter of their own reads. */
function unreadable({ images }: Named): string | undefined {
  const found = images.find(({ manifest }) => describeUnconvertible(manifest) !== undefined)
  return found && lazyKind(found.manifest)
}
