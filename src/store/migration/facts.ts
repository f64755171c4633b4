/**
 * What a catalog is made from, from one store into another: sidecars and journal. Adds, and never takes back, neither what is there
 * nor that something was removed there.
 */
import { atOnce } from '../../lib/at-once.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Journal, Proof } from '../../ports/journal.ts'
import { isSamePin, type Pin } from '../../ports/pins.ts'
import type { Place, Sidecar, SidecarStore } from '../../ports/sidecars.ts'
import type { Removals } from './removals.ts'

/** Told at the same time. */
const AT_ONCE = 32

/** Sidecars of manifests that are there; says how many. */
export async function copySidecars(
  source: SidecarStore,
  target: SidecarStore,
  isThere: (digest: Digest) => boolean,
  removals: Removals,
): Promise<number> {
  let count = 0
  const copies = atOnce(source.list(), AT_ONCE, async (sidecar) => {
    if (!isThere(sidecar.digest)) return undefined
    const told = removals.without(sidecar)
    return await target.update(sidecar.digest, (known) => merged(known, told))
  })
  for await (const _ of copies) count += 1
  return count
}

/** Says how many facts were told; pins are not among them. */
export async function copyJournal(source: Journal, target: Journal, now: number): Promise<number> {
  let count = 0
  const tell = async <T>(facts: AsyncIterable<T>, one: (fact: T) => Promise<void>) => {
    const told = atOnce(facts, AT_ONCE, async (fact) => {
      await one(fact)
      return fact
    })
    for await (const _ of told) count += 1
  }
  await tell(newProofs(source, target), ({ upstream, name, ...link }) =>
    target.prove({ upstream, name }, [link]),
  )
  await tell(source.listForgotten(), ({ tag, at, ...repository }) =>
    target.forgetTag(repository, tag, at),
  )
  await tell(source.listPlatforms(), ({ platform, at = now, ...repository }) =>
    target.learnPlatform(repository, platform, at),
  )
  await tell(source.listRecipes(), (layer) => target.keepRecipe(layer))
  return count
}

export interface WantedPins {
  /** Of the source. */
  readonly all: readonly Pin[]
  /** Those that were `copied` before and are not there any more: somebody has unpinned them there. */
  readonly removed: readonly Pin[]
  /** To be told there. */
  readonly missing: readonly Pin[]
}

/** In their order. */
export async function copyPins(target: Journal, { missing }: WantedPins): Promise<void> {
  for (const pin of missing) await target.pin(pin, true)
}

/** `copied`: those of the source that the target has been told before. Changes nothing. */
export async function wantedPins(
  source: Journal,
  target: Journal,
  copied: readonly Pin[],
): Promise<WantedPins> {
  const [all, there]: [Pin[], Pin[]] = [[], []]
  for await (const pin of source.listPins()) all.push(pin)
  for await (const pin of target.listPins()) there.push(pin)
  const isIn = (pins: readonly Pin[], pin: Pin) => pins.some((one) => isSamePin(one, pin))
  const absent = all.filter((pin) => !isIn(there, pin))
  const removed = absent.filter((pin) => isIn(copied, pin))
  return { all, removed, missing: absent.filter((pin) => !isIn(removed, pin)) }
}

/** One request tells of a thousand that are known, and one is needed for each that is not. */
async function* newProofs(source: Journal, target: Journal): AsyncGenerator<Proof> {
  const known = new Set<string>()
  for await (const proof of target.listProofs()) known.add(keyOf(proof))
  for await (const proof of source.listProofs()) {
    const key = keyOf(proof)
    if (!known.has(key)) yield proof
    known.add(key)
  }
}

function keyOf({ upstream, name, digest, size, standing, role }: Proof): string {
  return JSON.stringify([upstream, name, digest, size, standing, role])
}

/** Pure; the same object where nothing is new. */
export function merged(known: Sidecar | undefined, told: Sidecar): Sidecar {
  if (known === undefined) return told
  const places = told.places.reduce(withPlace, known.places)
  const conversion = known.conversion ?? told.conversion
  if (places === known.places && conversion === known.conversion) return known
  return { ...known, places, conversion }
}

function withPlace(places: readonly Place[], told: Place): readonly Place[] {
  const isSame = ({ upstream, name }: Place) => upstream === told.upstream && name === told.name
  const known = places.find(isSame)
  if (known === undefined) return [...places, told]
  const newer = Object.entries(told.tags).filter(([tag, at]) => at > (known.tags[tag] ?? 0))
  const lists = { ...told.lists, ...known.lists }
  const hasLists = Object.keys(lists).length > Object.keys(known.lists ?? {}).length
  if (newer.length === 0 && !hasLists) return places
  const tags = { ...known.tags, ...Object.fromEntries(newer) }
  const place = { ...known, tags, ...(hasLists && { lists }) }
  return places.map((one) => (isSame(one) ? place : one))
}
