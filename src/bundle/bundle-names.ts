/** Pure: what the images of a bundle are called. */

import type { TarFate } from '../format/format.ts'
import { FORMATS } from '../format/formats.ts'
import { describeUnconvertible, isAttestation } from '../oci/image-kind.ts'
import type { Platform } from '../oci/manifest.ts'
import { formatPlatform } from '../oci/platform.ts'
import type { Repository } from '../oci/repository.ts'
import type { Shipment } from './cargo.ts'
import type { BundledForm } from './description.ts'

export interface ExportedImage extends Shipment {
  readonly repository: Repository
  readonly reference: string
  /** What a client on the far side asks for: without profile suffix. */
  readonly baseName: string
  /** Which other forms of it were asked for, and stay. */
  readonly forms: readonly BundledForm[]
  /** That names the source; `undefined`: it was asked for by digest. */
  readonly tag: string | undefined
}

export interface Named extends ExportedImage {
  readonly name: string
}

/** Of several forms of an image the one that most clients can read has its name, the others keep their suffix. */
export function named(exported: readonly ExportedImage[]): readonly Named[] {
  const sorted = merged(exported).sort((a, b) => compare(a.reference, b.reference))
  const names = new Map<string, ExportedImage>()
  const claims = new Map(sorted.map((one) => [one, claimOf(one)]))
  const byClaim = sorted.toSorted((a, b) => compareClaims(claims.get(a), claims.get(b)))
  for (const one of byClaim) {
    names.set(names.has(one.baseName) ? one.reference : one.baseName, one)
  }
  const nameOf = new Map([...names].map(([name, one]) => [one, name]))
  return sorted.map((one) => ({ ...one, name: nameOf.get(one) ?? one.reference }))
}

const FATES: readonly TarFate[] = ['kept', 'changed', 'absent']

/**
 * Lower ones come first: the original; what has layers for every client; the tar as it was; and formats in the order of their table,
 * which begins with the most common one.
 */
function claimOf({ conversion, images }: ExportedImage): readonly number[] {
  if (conversion === undefined) return [0]
  const name = conversion.recipe.format
  const at = FORMATS.findIndex((format) => format.name === name)
  const fate = FORMATS[at]?.encoding.tar ?? 'absent'
  return [1, Number(!isForAll(images)), FATES.indexOf(fate), at < 0 ? FORMATS.length : at]
}

function compareClaims(a: readonly number[] = [], b: readonly number[] = []): number {
  const at = a.findIndex((part, i) => part !== b[i])
  return (a[at] ?? 0) - (b[at] ?? 0)
}

/** True when each platform has an image of ordinary layers, whatever stands beside it. */
function isForAll(images: ExportedImage['images']): boolean {
  const pulled = images.filter(
    ({ manifest, platform }) =>
      platform === undefined || !isAttestation({ ...manifest, size: 0, platform }),
  )
  const ordinary = pulled.filter(({ manifest }) => describeUnconvertible(manifest) === undefined)
  const platforms = new Set(ordinary.map(({ platform }) => textOf(platform)))
  return pulled.every(({ platform }) => platforms.has(textOf(platform)))
}

/** A reference that was asked for twice, for other platforms, is one image with all of them. */
function merged(exported: readonly ExportedImage[]): ExportedImage[] {
  const found = new Map<string, ExportedImage>()
  for (const one of exported) {
    const known = found.get(one.reference)
    if (known === undefined) {
      found.set(one.reference, one)
      continue
    }
    const images = [...known.images, ...one.images].sort((a, b) =>
      compare(textOf(a.platform), textOf(b.platform)),
    )
    const leftOut = known.leftOut.filter((platform) => one.leftOut.includes(platform))
    const originals = [...new Set([...known.originals, ...one.originals])]
    const forms = new Map([...known.forms, ...one.forms].map((form) => [form.reference, form]))
    found.set(one.reference, { ...known, images, leftOut, originals, forms: [...forms.values()] })
  }
  return [...found.values()]
}

function textOf(platform: Platform | undefined): string {
  return platform === undefined ? '' : formatPlatform(platform)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
