/**
 * Puts the files of a priority list first, in the list's order, then the landmark, then the rest. The tar is read again as
 * often as that takes; what must be held back meanwhile is bounded.
 */
import type { ByteStream } from '../lib/streams.ts'
import { AmbiguousTarError, cleanName, type TarEntry } from '../tar/entry.ts'
import { readTar, type TarEvent } from '../tar/reader.ts'
import { fileHeader, paddingOf } from '../tar/writer.ts'
import { EntryRules, isReserved, NO_PREFETCH_LANDMARK, PREFETCH_LANDMARK } from './toc.ts'

/** Bytes that one reading may hold back because they come too early. */
const MAX_HELD = 64 * 1024 * 1024

/** Readings that the listed files may take; those that would need more stay where they are. */
const MAX_READINGS = 16

/** Content of both landmarks. */
const LANDMARK = 0x0f

/** The user's own entries in the tar's order, marked as not worth prefetching. */
export async function* inPlace(tar: ByteStream): AsyncGenerator<TarEvent> {
  yield* landmark(NO_PREFETCH_LANDMARK)
  yield* userEvents(tar)
}

/** The same with listed files first. Names that the layer does not hold are passed over. */
export async function* inOrder(
  tar: ByteStream,
  reopen: () => ByteStream,
  priorities: readonly string[],
): AsyncGenerator<TarEvent> {
  const units = await readUnits(tar)
  const readings = planReadings(selectUnits(units, priorities))
  const moved = new Set(readings.flat().map((unit) => unit.ordinal))
  if (moved.size === 0) yield* landmark(NO_PREFETCH_LANDMARK)
  else {
    for (const reading of readings) yield* readInOrder(reopen(), reading)
    yield* landmark(PREFETCH_LANDMARK)
  }
  let ordinal = -1
  for await (const event of userEvents(reopen())) {
    if (event.kind === 'entry') ordinal += 1
    if (!moved.has(ordinal)) yield event
  }
}

/** An entry and its place among the user's entries. */
interface Unit {
  readonly ordinal: number
  readonly name: string
  readonly target: string | undefined
  readonly size: number
}

async function readUnits(tar: ByteStream): Promise<ReadonlyMap<string, Unit>> {
  const units = new Map<string, Unit>()
  // Another order must not turn a layer that cannot be unpacked into one that can.
  const rules = new EntryRules()
  for await (const event of userEvents(tar)) {
    if (event.kind !== 'entry') continue
    const { entry, raw } = event
    rules.check(entry)
    const name = cleanName(entry.name)
    const target = entry.type === 'hardlink' ? cleanName(entry.linkName) : undefined
    const size = raw.byteLength + entry.size
    units.set(name, { ordinal: units.size, name, target, size })
  }
  return units
}

/** Each listed file behind the folders above it and, for a hard link, behind its target. */
function selectUnits(units: ReadonlyMap<string, Unit>, priorities: readonly string[]): Unit[] {
  const chosen = new Set<Unit>()
  for (const path of priorities) {
    const steps: string[] = []
    // A link's target may be a link again; the tar has them in order, so this ends.
    for (let name: string | undefined = cleanName(path); name !== undefined; ) {
      const unit: Unit | undefined = units.get(name)
      if (unit === undefined || chosen.has(unit)) break
      steps.unshift(...foldersAbove(name), name)
      name = steps.length > MAX_STEPS ? undefined : unit.target
    }
    for (const step of steps) {
      const unit = units.get(step)
      if (unit !== undefined) chosen.add(unit)
    }
  }
  return [...chosen]
}

/** A chain of hard links is never that long; a ring of them would be. */
const MAX_STEPS = 10_000

function foldersAbove(name: string): string[] {
  const folders = ['']
  for (let at = name.indexOf('/'); at > 0; at = name.indexOf('/', at + 1)) {
    folders.push(name.slice(0, at))
  }
  return name === '' ? [] : folders
}

/** Runs of units that one reading of the tar can give in their order. */
function planReadings(units: readonly Unit[]): Unit[][] {
  const readings: Unit[][] = []
  let reading: Unit[] = []
  let furthest = -1
  let held = 0
  for (const unit of units) {
    const isEarly = unit.ordinal < furthest
    if (isEarly && held + unit.size > MAX_HELD) {
      readings.push(reading)
      if (readings.length === MAX_READINGS) return readings
      reading = [unit]
      furthest = unit.ordinal
      held = 0
      continue
    }
    if (isEarly) held += unit.size
    reading.push(unit)
    furthest = Math.max(furthest, unit.ordinal)
  }
  return reading.length === 0 ? readings : [...readings, reading]
}

/** Passes the next unit straight on, and keeps copies of those whose turn comes later. */
async function* readInOrder(tar: ByteStream, reading: readonly Unit[]): AsyncGenerator<TarEvent> {
  const wanted = new Set(reading.map((unit) => unit.ordinal))
  const held = new Map<number, TarEvent[]>()
  let turn = 0
  let ordinal = -1
  for await (const event of userEvents(tar)) {
    if (event.kind === 'entry') {
      if (reading[turn]?.ordinal === ordinal) turn += 1
      for (let early = held.get(reading[turn]?.ordinal ?? -1); early; ) {
        yield* early
        turn += 1
        early = held.get(reading[turn]?.ordinal ?? -1)
      }
      ordinal += 1
      if (turn === reading.length) return
    }
    if (reading[turn]?.ordinal === ordinal) yield event
    else if (wanted.has(ordinal)) {
      const kept = held.get(ordinal) ?? []
      held.set(ordinal, kept)
      kept.push(copyOf(event))
    }
  }
  if (reading[turn]?.ordinal === ordinal) turn += 1
  for (const unit of reading.slice(turn)) yield* held.get(unit.ordinal) ?? []
}

/** Views would keep the whole chunks alive that they are cut from. */
function copyOf(event: TarEvent): TarEvent {
  return event.kind === 'entry'
    ? { ...event, raw: Uint8Array.from(event.raw) }
    : { ...event, bytes: Uint8Array.from(event.bytes) }
}

/** What the user put into the layer: without an earlier table and landmarks, global headers and the tar's end. */
async function* userEvents(tar: ByteStream): AsyncGenerator<TarEvent> {
  let isOurs = false
  let isEmpty = true
  for await (const event of readTar(tar)) {
    isEmpty = false
    if (event.kind === 'entry') isOurs = isDropped(event.entry)
    if (!isOurs && event.kind !== 'end') yield event
  }
  if (isEmpty) throw new AmbiguousTarError('the layer has no bytes at all')
}

/** Go ignores global headers but for showing them, other readers apply them: what matters to both is the same only without. */
function isDropped(entry: TarEntry): boolean {
  if (entry.type !== 'global') return isReserved(cleanName(entry.name))
  if (!entry.paxKeys.some((key) => GLOBAL_REFUSED.has(key))) return true
  throw new AmbiguousTarError('a global header renames or resizes what follows')
}

const GLOBAL_REFUSED = new Set(['path', 'linkpath', 'size'])

function* landmark(name: string): Generator<TarEvent> {
  yield { kind: 'entry', entry: plainFile(name, 1), raw: fileHeader(name, 1) }
  yield { kind: 'data', bytes: Uint8Array.of(LANDMARK) }
  yield { kind: 'padding', bytes: new Uint8Array(paddingOf(1)) }
}

function plainFile(name: string, size: number): TarEntry {
  return {
    type: 'reg',
    name,
    linkName: '',
    mode: 0,
    uid: 0,
    gid: 0,
    userName: '',
    groupName: '',
    size,
    mtime: { seconds: 0, nanos: 0 },
    atime: undefined,
    ctime: undefined,
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    paxKeys: [],
    isText: true,
    hasTextOwner: true,
  }
}
