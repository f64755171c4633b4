/** Tells a catalog what the store says: sidecars, the manifests beside them, and the journal. Adds, and never takes back. */
import type { Digest } from '../oci/digest.ts'
import { type Named, namedIn } from '../oci/named.ts'
import type { Repository } from '../oci/repository.ts'
import type { Journal, Proof } from '../ports/journal.ts'
import type { Place, Sidecar, SidecarStore } from '../ports/sidecars.ts'
import type { Puts, Rebuilt } from './rebuilt.ts'
import type { ReadDocument } from './stored-documents.ts'

/** Written in one transaction: a few ms, for the catalog may be in use. */
const AT_ONCE = 100

/** Where everything lies that a catalog is made from. */
export interface Truth {
  readonly sidecars: SidecarStore
  readonly journal: Journal
  readonly readDocument: ReadDocument
}

/** The same for the links of one blob or manifest; false when the store knows of none (of the repository, if one is given). */
export async function restoreLinks(
  catalog: Rebuilt,
  from: Truth,
  digest: Digest,
  repository?: Repository,
): Promise<boolean> {
  const [sidecar, proofs] = await Promise.all([
    from.sidecars.read(digest),
    from.journal.findProofs(digest),
  ])
  const known: readonly Repository[] = [...(sidecar?.places ?? []), ...proofs]
  const isWanted = ({ upstream, name }: Repository) =>
    repository === undefined || (upstream === repository.upstream && name === repository.name)
  if (!known.some(isWanted)) return false
  await catalog.tell((put) => {
    if (sidecar !== undefined) addSidecar(put, { ...sidecar, places: untagged(sidecar) }, [])
    for (const proof of proofs) addProof(put, proof)
  })
  return true
}

/** Whether a tag was forgotten is not looked up for one manifest. */
function untagged({ places }: Sidecar): Place[] {
  return places.map((place) => ({ ...place, tags: {} }))
}

export async function rebuildCatalog(catalog: Rebuilt, from: Truth): Promise<void> {
  for await (const some of inGroups(from.sidecars.list())) {
    const named = await Promise.all(
      some.map(async ({ digest }) => namedIn(await from.readDocument(digest))),
    )
    await catalog.tell((put) => {
      for (const [i, sidecar] of some.entries()) addSidecar(put, sidecar, named[i] ?? [])
    })
  }
  for await (const some of inGroups(from.journal.listForgotten())) {
    await catalog.tell((put) => {
      for (const { tag, at, ...repository } of some) put.disclaim(repository, tag, at)
    })
  }
  for await (const some of inGroups(from.journal.listProofs())) {
    await catalog.tell((put) => {
      for (const proof of some) addProof(put, proof)
    })
  }
  for await (const some of inGroups(from.journal.listRecipes())) {
    await catalog.tell((put) => {
      for (const layer of some) put.recipe(layer)
    })
  }
  for await (const some of inGroups(from.journal.listPlatforms())) {
    await catalog.tell((put) => {
      for (const { platform, at, ...repository } of some) put.platform(repository, platform, at)
    })
  }
}

async function* inGroups<T>(all: AsyncIterable<T>): AsyncGenerator<readonly T[]> {
  let group: T[] = []
  for await (const one of all) {
    if (group.push(one) < AT_ONCE) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}

function addProof(put: Puts, { upstream, name, ...link }: Proof): void {
  put.links({ upstream, name }, [link])
}

/** What a converted manifest names is in the list of its outputs, or the source's own, which the source's sidecar says. */
function addSidecar(put: Puts, sidecar: Sidecar, named: readonly Named[]): void {
  const { digest, size, mediaType, conversion } = sidecar
  const made = conversion?.repository
  for (const { upstream, name, tags } of sidecar.places) {
    const isMade = made?.upstream === upstream && made.name === name
    if (!isMade) {
      const links = named.map((one) => ({ ...one, standing: 'named' }) as const)
      const own = { digest, size, mediaType, standing: 'proven' } as const
      put.links({ upstream, name }, [own, ...links])
    }
    for (const [tag, checkedAt] of Object.entries(tags)) {
      put.claim({ upstream, name }, tag, { digest, checkedAt })
    }
  }
  if (conversion !== undefined) put.image(conversion)
}
