/**
 * Priority lists that are known without asking anybody. Those that came with an image across an air gap are what its profiles
 * named on the near side; behind it the record's file or image may not be there. They stand in the sidecar of the source.
 */
import type { Profile } from '../config/profiles.ts'
import type { Digest } from '../oci/digest.ts'
import { isSameRepository, type Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import { optionsText } from '../ports/recipe.ts'
import type { SidecarStore } from '../ports/sidecars.ts'
import { linkToList, listIn, type PriorityList, withoutList } from './stored-lists.ts'

/** For one profile of one source in one repository. */
export interface CarriedList {
  readonly repository: Repository
  readonly source: Digest
  readonly profile: string
  readonly list: Digest
}

export async function findCarriedList(
  sidecars: SidecarStore,
  { repository, source, profile }: Omit<CarriedList, 'list'>,
): Promise<Digest | undefined> {
  const sidecar = await sidecars.read(source)
  const place = sidecar?.places.find((one) => isSameRepository(one, repository))
  return place?.lists?.[profile]
}

/** The list is in the store and the source has a sidecar already. */
export async function recordCarriedList(
  sidecars: SidecarStore,
  { repository, source, profile, list }: CarriedList,
): Promise<void> {
  await sidecars.update(source, (current) => {
    if (current === undefined) return undefined
    const places = current.places.map((place) =>
      isSameRepository(place, repository)
        ? { ...place, lists: { ...place.lists, [profile]: list } }
        : place,
    )
    return { ...current, places }
  })
}

/** What was made with a list, or will be, is made again with the very list. */
export async function linkList(
  catalog: Pick<Catalog, 'links'>,
  repository: Repository,
  list: PriorityList,
): Promise<void> {
  await catalog.links.record(repository, [linkToList(list)])
}

/** With which list the source was last converted for this profile; `undefined`: never. */
export async function findLastList(
  catalog: Pick<Catalog, 'conversions'>,
  repository: Repository,
  source: Digest,
  profile: Profile,
): Promise<{ readonly list: Digest | undefined } | undefined> {
  const wanted = optionsText(profile.options)
  const made = await catalog.conversions.listImages({ source })
  const [last] = made
    .filter(
      ({ repository: own, recipe }) =>
        isSameRepository(own, repository) && recipe.profile === profile.name,
    )
    .sort((a, b) => b.convertedAt - a.convertedAt)
    .map(({ recipe }) => recipe.options)
    .map((options) => ({ list: listIn(options), rest: optionsText(withoutList(options)) }))
    .filter(({ rest }) => rest === wanted)
  return last
}
