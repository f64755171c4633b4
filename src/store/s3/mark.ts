/** The mark in the bucket that says whose catalog the store has, and whether anybody renews it. */
import { CrossdockError } from '../../errors.ts'
import { isObject, isText } from '../../lib/shapes.ts'
import type { Clock } from '../../ports/clock.ts'
import { parseSummedJson, summedJson } from '../summed-json.ts'
import { SERVER } from './keys.ts'
import { nameOf, type S3Place } from './place.ts'
import type { Document, Swaps } from './swaps.ts'

export interface MarkTimes {
  readonly renewMs: number
  /** A mark that was not renewed for so long is nobody's; more than one renewal may get lost. */
  readonly deadMs: number
}

export const MARK_TIMES: MarkTimes = { renewMs: 4_000, deadMs: 15_000 }

export interface Mark {
  /** A catalog: its server is the same one when it starts again. */
  readonly owner: string
  /** For people. */
  readonly host: string
  /** Another at each renewal. */
  readonly count: number
  readonly isFree?: boolean
}

export const MARK: Document<Mark> = {
  key: SERVER,
  parse(text) {
    const found = parseSummedJson(text)
    return isMark(found) ? found : undefined
  },
  format: (mark) => summedJson(mark),
}

/** Somebody else's mark is watched, which may be nobody's any more. */
export interface MarkWait {
  /** Whose it is, for people. */
  readonly host: string
  readonly place: string
  /** The longest that it takes. */
  readonly ms: number
}

export interface WatchDeps {
  readonly swaps: Pick<Swaps, 'read'>
  readonly place: S3Place
  readonly clock: Clock
  /** Who it is that asks, by the name that it has by now; `undefined`: its catalog is yet to be made. */
  readonly owner: () => Promise<string | undefined>
  /** Its catalog is on PostgreSQL. */
  readonly isShared?: boolean
  /** Whether it would take what servers on PostgreSQL have left, whom nobody sees end; else that stays theirs. Default: yes. */
  readonly takes?: boolean
  readonly times?: MarkTimes
  /** Told before it watches. */
  readonly waits?: ((what: MarkWait) => void) | undefined
}

/** How a catalog on PostgreSQL is named here. */
export const sharedOwner = (catalog: string): string => `${SHARED}${catalog}`
const SHARED = 'catalog '

/**
 * Changes nothing, and gives the mark that may be replaced: who asks owns it, or nobody renews it, which takes `deadMs` to see. Throws
 * `already-running` when another catalog's server does.
 */
export async function watchMark(deps: WatchDeps): Promise<Mark | undefined> {
  const { swaps, place, clock, times = MARK_TIMES, takes = true } = deps
  let found = await swaps.read(MARK)
  if (found === undefined || (await isOpen(found, deps))) return found
  if (!takes && found.owner.startsWith(SHARED)) throw alreadyRunning(deps, found)
  deps.waits?.({ host: found.host, place: nameOf(place), ms: times.deadMs })
  const { owner, count } = found
  for (let left = times.deadMs; left > 0; left -= times.renewMs) {
    await clock.sleep(Math.min(times.renewMs, left))
    found = await swaps.read(MARK)
    if (found === undefined || (await isOpen(found, deps))) return found
    if (found.owner !== owner || found.count !== count) throw alreadyRunning(deps, found)
  }
  return found
}

async function isOpen({ isFree = false, owner }: Mark, deps: WatchDeps): Promise<boolean> {
  return isFree || owner === (await deps.owner())
}

function isMark(value: unknown): value is Mark {
  return (
    isObject(value) && isText(value.owner) && isText(value.host) && Number.isInteger(value.count)
  )
}

/** `theirs`: `undefined` where it went while we looked. */
export function alreadyRunning(
  { place, isShared = false }: Pick<WatchDeps, 'place' | 'isShared'>,
  theirs: Mark | undefined,
): CrossdockError {
  const host = theirs?.host ?? 'another machine'
  const areShared = theirs?.owner.startsWith(SHARED) ?? false
  return new CrossdockError(
    'internal',
    `another crossdock server, on ${host}, already uses ${nameOf(place)} with a catalog of its own; ${adviceFor(isShared, areShared)}`,
    { reason: 'already-running' },
  )
}

function adviceFor(isShared: boolean, areShared: boolean): string {
  if (!isShared) {
    return areShared
      ? 'let store.catalog name its database on PostgreSQL, or use another prefix'
      : 'stop it, use another prefix, or let both share one catalog on PostgreSQL (commands beside it on its machine: with its --data)'
  }
  return areShared
    ? 'is store.catalog right? If it is, and that database was lost: stop all servers, then start one, which fills it again from S3; else use another prefix'
    : 'is store.catalog right? If it is, stop that server or use another prefix'
}
