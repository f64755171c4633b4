/** What somebody has removed at the new store after it was copied there: it stays removed, however often the old one is copied again. */
import type { Repository } from '../../oci/repository.ts'
import type { Journal } from '../../ports/journal.ts'
import type { TagName } from '../../ports/tags.ts'
import type { Sidecar, SidecarStore } from '../../ports/sidecars.ts'

export class Removals {
  /** By name: when it was removed there, ms since 1970. */
  readonly #there: ReadonlyMap<string, number>
  /** By name: when it was removed here. */
  readonly #here: ReadonlyMap<string, number>
  readonly #held = new Map<string, TagName>()

  private constructor(there: ReadonlyMap<string, number>, here: ReadonlyMap<string, number>) {
    this.#there = there
    this.#here = here
  }

  static async of(source: Journal, target: Journal): Promise<Removals> {
    return new Removals(await timesIn(target), await timesIn(source))
  }

  /** Those names that were not told, although they are in use here. */
  get names(): readonly TagName[] {
    return [...this.#held.values()]
  }

  /**
   * The names that copying these sidecars would hold back, without those that were pulled there again, as the sidecars there tell. Changes
   * nothing.
   */
  async foresee(source: SidecarStore, target: SidecarStore): Promise<readonly TagName[]> {
    for await (const sidecar of source.list()) this.without(sidecar)
    if (this.#held.size === 0) return []
    for await (const { places } of target.list()) {
      for (const { upstream, name, tags } of places) {
        for (const [tag, at] of Object.entries(tags)) {
          const key = keyOf({ upstream, name, tag })
          if (at > (this.#there.get(key) ?? 0)) this.#held.delete(key)
        }
      }
    }
    return this.names
  }

  /** Without tags that were removed there, and not by what was copied from here. The same where there are none. */
  without(sidecar: Sidecar): Sidecar {
    if (this.#there.size === 0) return sidecar
    const places = sidecar.places.map((place) => {
      const tags = Object.entries(place.tags).filter(([tag, at]) => !this.#holds(place, tag, at))
      return { ...place, tags: Object.fromEntries(tags) }
    })
    return { ...sidecar, places }
  }

  #holds({ upstream, name }: Repository, tag: string, at: number): boolean {
    const key = keyOf({ upstream, name, tag })
    const [there, here = 0] = [this.#there.get(key), this.#here.get(key)]
    if (there === undefined || there <= here) return false
    if (at > here) this.#held.set(key, { upstream, name, tag })
    return true
  }
}

async function timesIn(journal: Journal): Promise<ReadonlyMap<string, number>> {
  const times = new Map<string, number>()
  for await (const forgotten of journal.listForgotten()) {
    const key = keyOf(forgotten)
    times.set(key, Math.max(times.get(key) ?? 0, forgotten.at))
  }
  return times
}

function keyOf({ upstream, name, tag }: TagName): string {
  return JSON.stringify([upstream, name, tag])
}
