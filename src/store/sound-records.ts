/** Pure: whether a sidecar or a line of a journal has everything that the catalog is made of; what has rotted has not. */
import { isCount, isListOf, isObject, isText, isTextMap } from '../lib/shapes.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { ConvertedImage, Output } from '../ports/conversions.ts'
import type { ForgottenTag, LearnedPlatform } from '../ports/journal.ts'
import type { Place, Sidecar } from '../ports/sidecars.ts'
import { isRecordedConversion, type Recorded } from '../recorded.ts'
import type { Pin } from '../ports/pins.ts'
import type { PinLine, ProofLine } from './journal-lines.ts'

/** A conversion as a sidecar says it; older ones do not list outputs. */
export type RecordedConversion = Recorded<Omit<ConvertedImage, 'outputs'>> &
  Partial<Pick<ConvertedImage, 'outputs'>>

export type RecordedSidecar = Omit<Sidecar, 'conversion'> & {
  readonly conversion?: RecordedConversion | undefined
}

export function isSidecar(value: unknown): value is RecordedSidecar {
  return (
    isObject(value) &&
    isAnyDigest(value.digest) &&
    isCount(value.size) &&
    isText(value.mediaType) &&
    isListOf(value.places, isPlace) &&
    (value.conversion === undefined || isConversion(value.conversion))
  )
}

export function isProofLine(value: unknown): value is ProofLine {
  return (
    isRepository(value) &&
    isCount(value.size) &&
    (value.standing === 'proven' || value.standing === 'made') &&
    (value.role === undefined || value.role === 'config')
  )
}

export function isPlatformLine(value: unknown): value is LearnedPlatform {
  if (!isRepository(value) || !isTextMap(value.platform)) return false
  if (value.at !== undefined && !isCount(value.at)) return false
  return isText(value.platform.os) && isText(value.platform.architecture)
}

export function isForgottenTag(value: unknown): value is ForgottenTag {
  return isRepository(value) && isText(value.tag) && isCount(value.at)
}

export function isPin(value: unknown): value is Pin {
  return isRepository(value) && isText(value.reference)
}

export function isPinLine(value: unknown): value is PinLine {
  return isRepository(value) && isText(value.reference) && typeof value.isPinned === 'boolean'
}

function isRepository(value: unknown): value is Repository & Readonly<Record<string, unknown>> {
  return isObject(value) && isText(value.upstream) && isText(value.name)
}

function isPlace(value: unknown): value is Place {
  return (
    isRepository(value) &&
    isObject(value.tags) &&
    Object.values(value.tags).every(isCount) &&
    (value.lists === undefined ||
      (isTextMap(value.lists) && Object.values(value.lists).every(isAnyDigest)))
  )
}

function isConversion(value: unknown): value is RecordedConversion {
  return (
    isObject(value) &&
    Number.isFinite(value.seconds) &&
    isCount(value.convertedAt) &&
    (value.outputs === undefined || isListOf(value.outputs, isOutput)) &&
    isRecordedConversion(value)
  )
}

function isOutput(value: unknown): value is Output {
  return (
    isObject(value) &&
    isAnyDigest(value.digest) &&
    isCount(value.size) &&
    (value.mediaType === undefined || isText(value.mediaType)) &&
    (value.role === undefined || value.role === 'config') &&
    (value.isReferrer === undefined || value.isReferrer === true)
  )
}

function isAnyDigest(value: unknown): value is Digest {
  return isText(value) && isDigest(value)
}
