/** Which images of an index are meant by a choice of platforms. */
import type { Digest } from './digest.ts'
import { isAttestation } from './image-kind.ts'
import type { Descriptor, ImageIndex, Platform } from './manifest.ts'
import { matchesPlatform } from './platform.ts'

/** Which children of an index are converted, each once however often it is named. */
export function selectChildren(
  index: ImageIndex,
  wanted: 'all' | readonly Platform[],
): readonly Descriptor[] {
  const chosen = new Map<Digest, Descriptor>()
  for (const child of index.manifests) {
    if (!chosen.has(child.digest) && isChosen(child, wanted)) chosen.set(child.digest, child)
  }
  return [...chosen.values()]
}

export function isChosen(child: Descriptor, wanted: 'all' | readonly Platform[]): boolean {
  if (isAttestation(child) || child.artifactType !== undefined) return false
  const { platform } = child
  if (wanted === 'all' || platform === undefined) return true
  return wanted.some((one) => matchesPlatform(one, platform))
}
