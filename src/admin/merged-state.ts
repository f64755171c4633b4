/** What several processes of one server say of themselves, as one. */
import type { Activity } from './activity.ts'
import { type AdminState, healthOf, type Parts } from './state.ts'
import { hitRatio, type Traffic, type TrafficRow } from './traffic.ts'
import type { Trouble, TroubleGroup } from './troubles.ts'
import { DOWNLOADS, ENDED, JOBS } from './work.ts'

export interface ShareOfState {
  readonly parts: Parts
  readonly lastHour: ReturnType<Traffic['lastHour']>
}

/** What is counted since the start, and stays counted when a process ends. */
export interface Tally {
  readonly totals: Parts['traffic']['totals']
  readonly savings: Parts['traffic']['savings']
}

export const NO_TALLY: Tally = {
  totals: { requests: 0, bytesOut: 0, bytesIn: 0, hits: 0, misses: 0 },
  savings: { out: 0, asSource: 0 },
}

export function tallyOf({ traffic, blobs }: Pick<Activity, 'traffic' | 'blobs'>): Tally {
  return { totals: traffic.summary().totals, savings: blobs.savings }
}

export function summedTallies(all: readonly Tally[]): Tally {
  return {
    totals: summed(all.map(({ totals }) => totals)),
    savings: summed(all.map(({ savings }) => savings)),
  }
}

/** Of what happened lately so much is told. */
const RECENT = 50

export async function shareOf(
  state: Pick<AdminState, 'read'>,
  activity: Pick<Activity, 'traffic'>,
): Promise<ShareOfState> {
  return { parts: await state.read(), lastHour: activity.traffic.lastHour() }
}

/** `first`: who is asked, and what all have in common is said by; `absent`: of those who say nothing any more, or not in time. */
export function mergedState(
  first: ShareOfState,
  others: readonly ShareOfState[],
  absent: Tally = NO_TALLY,
): Parts {
  const all = [first, ...others]
  const of = <K extends keyof Parts>(part: K) => all.map(({ parts }) => parts[part])
  return {
    outages: first.parts.outages,
    server: { ...first.parts.server, startedAt: least(of('server').map((one) => one.startedAt)) },
    work: mergedWork(of('work')),
    traffic: mergedTraffic(
      of('traffic'),
      all.map(({ lastHour }) => lastHour),
      absent,
    ),
    upstreams: mergedUpstreams(of('upstreams').flat()),
    store: mergedStore(of('store'), first.parts.store),
    troubles: {
      refusals: mergedTroubles(of('troubles').map(({ refusals }) => refusals)),
      wishes: mergedTroubles(of('troubles').map(({ wishes }) => wishes)),
    },
    tasks: of('tasks').flat().toSorted(latestFirst('startedAt')),
  }
}

/** Minutes of all, oldest first. */
export function mergedRows(all: readonly (readonly TrafficRow[])[]): readonly TrafficRow[] {
  const byTime = new Map<number, TrafficRow>()
  for (const row of all.flat()) {
    const known = byTime.get(row.at)
    byTime.set(row.at, known === undefined ? row : { ...summed([known, row]), at: row.at })
  }
  return [...byTime.values()].toSorted((a, b) => a.at - b.at)
}

function mergedWork(all: readonly Parts['work'][]): Parts['work'] {
  const sum = (key: 'running' | 'downloading' | 'layersQueued' | 'downloadsQueued') =>
    total(all.map((one) => one[key]))
  return {
    running: sum('running'),
    jobs: all
      .flatMap(({ jobs }) => jobs)
      .toSorted((a, b) => a.startedAt - b.startedAt)
      .slice(0, JOBS),
    ended: all
      .flatMap(({ ended }) => ended)
      .toSorted(latestFirst('endedAt'))
      .slice(0, ENDED),
    downloading: sum('downloading'),
    downloads: all
      .flatMap(({ downloads }) => downloads)
      .toSorted((a, b) => b.seconds - a.seconds)
      .slice(0, DOWNLOADS),
    layersQueued: sum('layersQueued'),
    downloadsQueued: sum('downloadsQueued'),
  }
}

function mergedTraffic(
  all: readonly Parts['traffic'][],
  hours: readonly ShareOfState['lastHour'][],
  absent: Tally,
): Parts['traffic'] {
  return {
    perSecond: summed(all.map(({ perSecond }) => perSecond)),
    hitRatio: hitRatio(summed(hours)),
    minutes: mergedRows(all.map(({ minutes }) => minutes)),
    ...summedTallies([...all, absent]),
  }
}

function mergedUpstreams(all: Parts['upstreams']): Parts['upstreams'] {
  return [...Map.groupBy(all, ({ upstream }) => upstream).values()].map((notes) => {
    const [one] = notes
    if (one === undefined) throw new Error('a group has a member')
    const merged = {
      upstream: one.upstream,
      requests: total(notes.map(({ requests }) => requests)),
      failures: total(notes.map(({ failures }) => failures)),
      answeredAt: latest(notes.map(({ answeredAt }) => answeredAt)),
      failure: newest(notes.map(({ failure }) => failure)),
      quota: notes
        .flatMap(({ quota }) => quota ?? [])
        .reduce<typeof one.quota>(
          (few, quota) => (few !== null && few.remaining <= quota.remaining ? few : quota),
          null,
        ),
    }
    const restSeconds = Math.max(...notes.map((note) => note.restSeconds))
    return { ...merged, restSeconds, health: healthOf(merged, restSeconds) }
  })
}

function mergedStore(all: readonly Parts['store'][], first: Parts['store']): Parts['store'] {
  const upkeep = all.map((one) => one.upkeep)
  return {
    ...first,
    bytes: Math.max(...all.map(({ bytes }) => bytes)),
    budget: Math.max(...all.map(({ budget }) => budget)),
    scrub: { ...first.scrub, ...lastScrub(all.map(({ scrub }) => scrub)) },
    upkeep: {
      scrubBeganAt: latest(upkeep.map(({ scrubBeganAt }) => scrubBeganAt)),
      lastScrub: newest(upkeep.map(({ lastScrub }) => lastScrub)),
      lastCollection: newest(upkeep.map(({ lastCollection }) => lastCollection)),
      checks: recent(upkeep.map(({ checks }) => checks)),
      failures: recent(upkeep.map(({ failures }) => failures)),
    },
  }
}

/** `null`: there was none, as far as one can say. */
function lastScrub(all: readonly Parts['store']['scrub'][]): { readonly lastAt?: number | null } {
  const told = all.flatMap(({ lastAt }) => (lastAt === undefined ? [] : [lastAt]))
  return told.length === 0 ? {} : { lastAt: latest(told) }
}

interface ToldTroubles {
  readonly groups: readonly TroubleGroup[]
  readonly recent: readonly Trouble[]
}

function mergedTroubles(all: readonly ToldTroubles[]): ToldTroubles {
  const byReason = Map.groupBy(
    all.flatMap(({ groups }) => groups),
    ({ reason }) => reason,
  )
  const groups = [...byReason].flatMap(([reason, found]) => {
    const last = newest(found.map((one) => one.last))
    return last === null ? [] : [{ reason, count: total(found.map(({ count }) => count)), last }]
  })
  return {
    groups: groups.toSorted((a, b) => b.count - a.count),
    recent: recent(all.map((one) => one.recent)),
  }
}

// ------------------------------------------------------------------------------------------------- numbers and times

/** Sums of the same keys. */
function summed<K extends string>(all: readonly Readonly<Record<K, number>>[]): Record<K, number> {
  const sums = { ...all[0] } as Record<K, number>
  for (const one of all.slice(1)) {
    for (const key in sums) sums[key] += one[key]
  }
  return sums
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0)
}

function least(numbers: readonly number[]): number {
  return Math.min(...numbers)
}

function latest(times: readonly (number | null)[]): number | null {
  const known = times.flatMap((one) => one ?? [])
  return known.length === 0 ? null : Math.max(...known)
}

function newest<T extends { readonly at: number }>(all: readonly (T | null)[]): T | null {
  return all.reduce((found, one) => {
    if (one === null) return found
    return found === null || one.at > found.at ? one : found
  }, null)
}

function recent<T extends { readonly at: number }>(all: readonly (readonly T[])[]): T[] {
  return all.flat().toSorted(latestFirst('at')).slice(0, RECENT)
}

function latestFirst<K extends string>(key: K) {
  return (a: Readonly<Record<K, number>>, b: Readonly<Record<K, number>>) => b[key] - a[key]
}
