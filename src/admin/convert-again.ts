/**
 * Conversions made again from their sources, layer by layer: what comes out the same proves that they are right, what does not is
 * forgotten and made anew. Nothing that is served meanwhile goes away.
 */
import type { Profile } from '../config/profiles.ts'
import { demandFor } from '../convert/asks.ts'
import type { Regenerations } from '../convert/regenerations.ts'
import { CrossdockError } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import { splitSuffix } from '../oci/reference.ts'
import { isSameRepository, type Repository } from '../oci/repository.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import { Below } from '../upkeep/below.ts'
import { type NamesDeps, tagged } from './act-on-names.ts'
import type { ImagesAsk } from './asks.ts'
import type { NamedImage } from './named-image.ts'
import { platformsFor, type StageDeps } from './stage.ts'

export interface ConvertAgainDeps extends NamesDeps, StageDeps {
  readonly regenerations: Pick<Regenerations, 'open'>
}

export interface ConvertAgainResult {
  readonly name: string
  readonly profile: string
  /** Of the conversion that pullers got before; `null`: there was none. */
  readonly before: Digest | null
  /** Of what pullers get now. */
  readonly digest: Digest
  readonly conversion: string
  /** Layers that came out as they were. */
  readonly confirmed: number
  /** Layers that did not, or could not be made, and why. */
  readonly differing: readonly { readonly digest: Digest; readonly reason: string }[]
}

/** Throws `requestInvalid` where no profile is named. */
export function checkConvertAgain(deps: ConvertAgainDeps, { images }: ImagesAsk) {
  return images.map((text) => wantedOf(deps.parseImage(text), deps))
}

export async function convertAgain(
  deps: ConvertAgainDeps,
  ask: ImagesAsk,
): Promise<readonly ConvertAgainResult[]> {
  const results: ConvertAgainResult[] = []
  for (const one of checkConvertAgain(deps, ask)) results.push(await convertOne(deps, one))
  return results
}

interface WantedAgain {
  readonly name: string
  readonly repository: Repository
  /** Without the suffix. */
  readonly tag: string
  readonly profile: Profile
}

async function convertOne(deps: ConvertAgainDeps, one: WantedAgain): Promise<ConvertAgainResult> {
  const { repository, tag, profile, name } = one
  const made = await conversionsOf(deps, one)
  const targets = await layersBelow(deps, made)
  const differing: { digest: Digest; reason: string }[] = []
  for (const digest of targets) {
    const reason = await remake(deps, repository, digest)
    if (reason !== undefined) differing.push({ digest, reason })
  }
  for (const image of made) await deps.catalog.conversions.forgetImage(image)
  const staged = await deps.staging.stage({
    ...{ repository, reference: { tag }, wanted: demandFor(profile) },
    ...platformsFor(undefined, deps.defaultPlatforms),
  })
  return {
    ...{ name, profile: profile.name, before: made.at(-1)?.target ?? null },
    ...{ digest: staged.digest, conversion: staged.conversion ?? 'original' },
    ...{ confirmed: targets.length - differing.length, differing },
  }
}

function wantedOf(image: NamedImage, { profiles }: ConvertAgainDeps): WantedAgain {
  const { repository, tag, name } = tagged(image, 'what is converted has a name')
  const split = splitSuffix(tag, profiles.suffixes)
  const profile = split === undefined ? image.wanted?.profile : profiles.find(split.suffix)
  if (profile?.format !== undefined) return { name, repository, tag: split?.base ?? tag, profile }
  throw new CrossdockError(
    'requestInvalid',
    `${image.text} names no profile to convert to; add one as suffix, as in ${image.text}-zstd`,
  )
}

/** Oldest first. */
async function conversionsOf(
  { catalog }: ConvertAgainDeps,
  { repository, tag, profile }: WantedAgain,
): Promise<readonly ConvertedImage[]> {
  const known = await catalog.tags.find(repository, tag)
  if (known === undefined) return []
  const made = await catalog.conversions.listImages({ source: known.digest })
  return made.filter(
    ({ recipe, repository: own }) =>
      recipe.profile === profile.name && isSameRepository(own, repository),
  )
}

/** Those that were written, in any order. */
async function layersBelow(
  { manifests, catalog }: ConvertAgainDeps,
  made: readonly ConvertedImage[],
): Promise<readonly Digest[]> {
  const below = new Below(manifests)
  for (const { repository, target } of made) await below.follow({ repository, digest: target })
  const layers: Digest[] = []
  for (const digest of below.found) {
    const recipe = await catalog.conversions.findLayerByTarget(digest)
    if (recipe !== undefined) layers.push(digest)
  }
  return layers
}

/** Why it did not come out as it was; `undefined`: it did. */
async function remake(
  { regenerations }: ConvertAgainDeps,
  repository: Repository,
  digest: Digest,
): Promise<string | undefined> {
  const blob = await regenerations.open(repository, digest)
  if (blob === undefined) return 'this build of crossdock makes it in another way'
  try {
    await blob.growing?.stored
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
