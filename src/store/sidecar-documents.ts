/** Sidecars as texts: what is written, and what is made of it again, wherever they lie. */
import type { Digest } from '../oci/digest.ts'
import { outputsOf } from '../outputs.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import type { Sidecar } from '../ports/sidecars.ts'
import { madeOf, recorded } from '../recorded.ts'
import { isSidecar, type RecordedConversion, type RecordedSidecar } from './sound-records.ts'
import type { ReadDocument } from './stored-documents.ts'
import { parseSummedJson, summedJson } from './summed-json.ts'

export function formatSidecar({ conversion, ...sidecar }: Sidecar): string {
  return `${summedJson({ ...sidecar, conversion: conversion && recorded(conversion) })}\n`
}

/** A sidecar that rotted counts as absent: its manifest is then asked of upstream again. */
export async function parseSidecar(
  digest: Digest,
  text: string,
  readDocument: ReadDocument,
): Promise<Sidecar | undefined> {
  const found = parseSummedJson(text)
  if (!isSidecar(found) || found.digest !== digest) return undefined
  const { conversion, ...sidecar }: RecordedSidecar = found
  return { ...sidecar, conversion: conversion && (await complete(conversion, readDocument)) }
}

/** Sidecars did not always list outputs: those follow from the manifests. */
async function complete(
  conversion: RecordedConversion,
  readDocument: ReadDocument,
): Promise<ConvertedImage | undefined> {
  const made = madeOf(conversion)
  if (made === undefined) return undefined
  const { outputs, layers } = made
  if (outputs !== undefined) return { ...made, outputs }
  const [target, source] = await Promise.all([
    readDocument(conversion.target),
    readDocument(conversion.source),
  ])
  return { ...made, outputs: outputsOf({ target, source, layers }) }
}
