/**
 * Whether a bundle's conversions are what it says: made of the sources that they are filed under. Digests cannot tell, since a
 * mapping is nobody's content, so converted layers are unpacked and held to the diffIDs of the source's config.
 */
import { decodeLayer } from '../codec/codecs.ts'
import { sourceDiffId } from '../convert/layer-task.ts'
import { CrossdockError } from '../errors.ts'
import { findFormat } from '../format/formats.ts'
import { Semaphore } from '../lib/semaphore.ts'
import type { ByteStream } from '../lib/streams.ts'
import { algorithmOf, type Digest, digestOf, Hasher } from '../oci/digest.ts'
import type { ImageConfig, ImageIndex, ImageManifest, Manifest } from '../oci/manifest.ts'
import { isSameRepository } from '../oci/repository.ts'
import { patchDiffIds } from '../oci/rewrite.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { ConvertedLayer } from '../ports/conversions.ts'
import type { BundlePlan, PlannedManifest } from './bundle-plan.ts'
import { keyOf } from './cargo.ts'
import type { BundledConversion } from './description.ts'
import { isProvenByRemaking, misfiled } from './misfiled.ts'

export interface CheckContext {
  readonly catalog: Pick<Catalog, 'conversions' | 'links'>
  readonly read: (digest: Digest, maxBytes: number) => Promise<Uint8Array>
  readonly stream: (digest: Digest) => ByteStream
  readonly parseConfig: (bytes: Uint8Array) => ImageConfig
  readonly maxConfigBytes: number
  readonly maxLayerBytes: number
  /** Layers unpacked at a time. */
  readonly concurrency: number
  readonly signal?: AbortSignal | undefined
}

/** A converted layer, and what it must unpack to. */
interface Claim {
  readonly made: BundledConversion
  readonly layer: Digest
  readonly diffId: Digest
}

/** Throws `badDigest` for a mapping that is not true, `badManifest` for one that cannot be. */
export async function checkConversions(plan: BundlePlan, context: CheckContext): Promise<void> {
  const claims = new Map<string, Claim>()
  const listed = new Listed(plan)
  for (const made of plan.conversions) {
    if (isProvenByRemaking(made)) continue
    const source = listed.get(made, made.source)
    const target = listed.get(made, made.target)
    if (source.kind === 'index' && target.kind === 'index') {
      await checkIndex(listed, made, source, target, context)
    } else if (source.kind === 'image' && target.kind === 'image') {
      for (const claim of await claimsOf(made, source, target, context)) {
        claims.set(`${claim.layer} ${claim.diffId}`, claim)
      }
    } else throw misfiled(made, 'one is an index, the other is not')
  }
  await checkClaims([...claims.values()], context)
}

/** What a plan holds, found without going through all of it. */
class Listed {
  readonly #manifests: ReadonlyMap<string, PlannedManifest['parsed']>
  readonly #conversions: Map<Digest, BundledConversion[]>

  constructor(plan: BundlePlan) {
    this.#manifests = new Map(
      plan.manifests.map(({ repository, raw, parsed }) => [keyOf(repository, raw.digest), parsed]),
    )
    this.#conversions = Map.groupBy(plan.conversions, ({ target }) => target)
  }

  get(made: BundledConversion, digest: Digest): Manifest {
    const found = this.#manifests.get(keyOf(made.repository, digest))
    if (found === undefined) throw misfiled(made, `manifest ${digest} is not in that repository`)
    if (found.kind === 'opaque') throw misfiled(made, `manifest ${digest} cannot be read`)
    return found
  }

  has({ repository }: BundledConversion, digest: Digest): boolean {
    return this.#manifests.has(keyOf(repository, digest))
  }

  conversionsTo(target: Digest): readonly BundledConversion[] {
    return this.#conversions.get(target) ?? []
  }
}

// ---------------------------------------------------------------------------------------------- indexes

/** Each child is the source's own, or what is filed as its conversion; one that is nowhere to be had leads nobody astray. */
async function checkIndex(
  listed: Listed,
  made: BundledConversion,
  source: ImageIndex,
  target: ImageIndex,
  { catalog }: CheckContext,
): Promise<void> {
  if (source.manifests.length !== target.manifests.length) {
    throw misfiled(made, 'they name different numbers of images')
  }
  for (const [i, { digest }] of target.manifests.entries()) {
    const from = source.manifests[i]?.digest
    if (digest === from) continue
    const known = [
      ...listed.conversionsTo(digest),
      ...(await catalog.conversions.listImages({ target: digest })),
    ].filter((one) => isSameRepository(one.repository, made.repository))
    if (known.some((one) => one.source === from)) continue
    const isHere =
      listed.has(made, digest) || (await catalog.links.find(made.repository, digest)) !== undefined
    if (isHere) throw misfiled(made, `${digest} in it is no conversion of ${from}`)
  }
}

// ---------------------------------------------------------------------------------------------- images

/** What unpacking has to show, after everything that can be seen without it. */
async function claimsOf(
  made: BundledConversion,
  source: ImageManifest,
  target: ImageManifest,
  context: CheckContext,
): Promise<readonly Claim[]> {
  if (source.layers.length !== target.layers.length) {
    throw misfiled(made, 'they have different numbers of layers')
  }
  const config = await readConfig(source, context)
  const sourceIds = context.parseConfig(config).diffIds
  const ids = await targetIds(made, target, config, context)
  const rows = new Map(made.layers.map((layer) => [`${layer.source} ${layer.target}`, layer]))
  const claims: Claim[] = []
  for (const [i, { digest: layer }] of target.layers.entries()) {
    const from = source.layers[i]?.digest
    const row = rows.get(`${from} ${layer}`)
    rows.delete(`${from} ${layer}`)
    const diffId = ids[i]
    if (diffId === undefined) throw misfiled(made, 'its config has too few diffIDs')
    if (
      row !== undefined &&
      !(agrees(row.diffId, diffId) && agrees(sourceDiffId(row), sourceIds[i]))
    ) {
      throw misfiled(made, `the diffIDs of layer ${layer} are not those of the configs`)
    }
    if (layer === from || layer === diffId) continue
    if (row?.diffId === diffId && (await isKnown(row, context))) continue
    claims.push({ made, layer, diffId })
  }
  // Equal layers of an image share a row.
  const [left] = [...rows.values()].filter((row) => !isPair(row, source, target))
  if (left !== undefined) throw misfiled(made, `layer ${left.target} is not in the image`)
  return claims
}

/** Formats that keep diffIDs keep the config; the others change nothing in it but these. */
async function targetIds(
  made: BundledConversion,
  target: ImageManifest,
  sourceConfig: Uint8Array,
  context: CheckContext,
): Promise<readonly Digest[]> {
  if (isContent(sourceConfig, target.config.digest)) {
    return context.parseConfig(sourceConfig).diffIds
  }
  if (findFormat(made.recipe.format)?.encoding.tar === 'kept')
    throw misfiled(made, 'their configs differ')
  const { diffIds } = context.parseConfig(await readConfig(target, context))
  const isPatched = isContent(patchDiffIds(sourceConfig, diffIds), target.config.digest)
  if (!isPatched) throw misfiled(made, 'their configs differ in more than diffIDs')
  return diffIds
}

function isContent(bytes: Uint8Array, digest: Digest): boolean {
  return digestOf(bytes, algorithmOf(digest)) === digest
}

async function readConfig(image: ImageManifest, context: CheckContext): Promise<Uint8Array> {
  return await context.read(image.config.digest, context.maxConfigBytes)
}

function isPair(row: ConvertedLayer, source: ImageManifest, target: ImageManifest): boolean {
  return target.layers.some(
    ({ digest }, i) => digest === row.target && source.layers[i]?.digest === row.source,
  )
}

/** Rows say what they know in sha256; what a config says in sha512 is left to unpacking. */
function agrees(known: Digest, said: Digest | undefined): boolean {
  return known === said || (said !== undefined && algorithmOf(said) === 'sha512')
}

/** Made or checked here before. */
async function isKnown(row: ConvertedLayer, { catalog }: CheckContext): Promise<boolean> {
  const known = await catalog.conversions.findLayer(row)
  if (known?.kind !== 'made') return false
  return known.target === row.target && known.diffId === row.diffId
}

// ---------------------------------------------------------------------------------------------- layers

/** The first that is not true ends it; nothing is being read any more when that is thrown. */
async function checkClaims(claims: readonly Claim[], context: CheckContext): Promise<void> {
  const slots = new Semaphore(context.concurrency)
  const stop = new AbortController()
  const signal = context.signal ? AbortSignal.any([stop.signal, context.signal]) : stop.signal
  const check = (claim: Claim) =>
    slots.run(() => checkClaim(claim, context, signal)).catch((error) => stop.abort(error))
  await Promise.all(claims.map(check))
  signal.throwIfAborted()
}

async function checkClaim(
  { made, layer, diffId }: Claim,
  { stream, maxLayerBytes }: CheckContext,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted()
  const hasher = new Hasher(algorithmOf(diffId))
  try {
    for await (const chunk of decodeLayer(stream(layer), {
      maxOutput: maxLayerBytes,
      maxWindowLog: 31,
    })) {
      signal.throwIfAborted()
      hasher.update(chunk)
    }
  } catch (error) {
    if (!(error instanceof CrossdockError) || signal.aborted) throw error
    throw misfiled(made, `layer ${layer} cannot be unpacked (${error.message})`, error)
  }
  const found = hasher.digest()
  if (found === diffId) return
  throw misfiled(made, `layer ${layer} unpacks to ${found}, but the image's config says ${diffId}`)
}
