/** Pure: what a puller's headers say it can read (reference: Accept, User-Agent). */

import type { Acceptance } from '../convert/plan.ts'
import type { Format } from '../format/format.ts'
import type { Platform } from '../oci/manifest.ts'
import { parsePlatform } from '../oci/platform.ts'

/** No Accept, or one that names anything but Docker's types, takes everything. */
export function acceptanceOf(accept: string | undefined): Acceptance {
  const types = (accept ?? '')
    .split(',')
    .map((type) => type.split(';', 1)[0]?.trim().toLowerCase() ?? '')
    .filter((type) => type !== '')
  const isDocker = (type: string) => type.startsWith('application/vnd.docker.')
  const manifests = types.filter(
    (type) => isDocker(type) || type.startsWith('application/vnd.oci.'),
  )
  const takesAll = types.some((type) => type === '*/*' || type === 'application/*')
  return !takesAll && manifests.length > 0 && manifests.every(isDocker) ? 'docker' : 'any'
}

/** The first Docker Engine that reads zstd layers. */
const DOCKER_WITH_ZSTD = 23

/** Why a client known by its User-Agent cannot read a format's layers; `undefined` when it can, or is not known. */
export function cannotRead(userAgent: string | undefined, format: Format): string | undefined {
  const docker = /^docker\/(\d{1,4})\.(\d{1,4})/.exec(userAgent ?? '')
  if (docker === null || format.compression !== 'zstd') return undefined
  if (Number(docker[1]) >= DOCKER_WITH_ZSTD) return undefined
  return `docker ${docker[1]}.${docker[2]} cannot read zstd layers, so it gets the original image; Docker ${DOCKER_WITH_ZSTD} and newer can`
}

/** More than any client sends of itself. */
const MAX_USER_AGENT = 1024

/** oras and go-containerregistry need Content-Length on HEAD, and have no timeout: they are kept waiting. */
export function waitsForHead(userAgent: string | undefined): boolean {
  return /^(?:oras|go-containerregistry)\b/.test(userAgent ?? '')
}

/** What Docker and CRI-O say that they run on: `docker/28.5.2 ... os/linux arch/arm64 UpstreamClient(...)`; nothing for others. */
export function platformsOf(userAgent: string | undefined): readonly Platform[] {
  const [own = ''] = (userAgent ?? '').slice(0, MAX_USER_AGENT).split(' UpstreamClient(', 1)
  const [, os] = /(?:^| )os\/([a-z0-9]{1,32})(?= |$)/.exec(own) ?? []
  const [, architecture] = /(?:^| )arch\/([a-z0-9_]{1,32})(?= |$)/.exec(own) ?? []
  if (os === undefined || architecture === undefined) return []
  return [parsePlatform(`${os}/${architecture}`)]
}
