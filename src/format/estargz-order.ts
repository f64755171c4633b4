/**
 * Puts the files of a priority list first, in the list's order, then the landmark, then the rest. The tar is read again as
 * often as that takes; what must be held back meanwhile is bounded.
 */
import type { ByteStream } from '../lib/streams.ts'
import { AmbiguousTarError, checkGlobalHeader, cleanName, type TarEntry } from '../tar/entry.ts'
import { readTarBatches, type TarEvent } from '../tar/reader.ts'
import { fileHeader, paddingOf } from '../tar/writer.ts'
import { EntryRules, isReserved, NO_PREFETCH_LANDMARK, PREFETCH_LANDMARK } from './toc.ts'

/** Bytes that one reading may hold back because they come too early. */
const MAX_HELD = 64 * 1024 * 1024

/** Readings that the listed files may take; those that would need more stay where they are. */
const MAX_READINGS = 16

/** Content of both landmarks. */
const LANDMARK = 0x0f

/** Events in order, some at a time, each batch to be iterated once and before the next. */
type Batches = AsyncGenerator<Iterable<TarEvent>>

/** The user's own entries in the tar's order, marked as not worth prefetching. */
export async function* inPlace(tar: ByteStream): Batches {
  yield landmark(NO_PREFETCH_LANDMARK)
  yield* userEvents(tar)
}

/** The same with listed files first. Names that the layer does not hold are passed over. */
export async function* inOrder(
  tar: ByteStream,
  reopen: () => ByteStream,
  priorities: readonly string[],
): Batches {
  const units = await readUnits(tar)
  const readings = planReadings(selectUnits(units, priorities))
  const moved = new Set(readings.flat().map((unit) => unit.ordinal))
  if (moved.size === 0) yield landmark(NO_PREFETCH_LANDMARK)
  else {
    for (const reading of readings) yield* readInOrder(reopen(), reading)
    yield landmark(PREFETCH_LANDMARK)
  }
  let ordinal = -1
  function* unmoved(events: Iterable<TarEvent>): Generator<TarEvent> {
    for (const event of events) {
      if (event.kind === 'entry') ordinal += 1
      if (!moved.has(ordinal)) yield event
    }
  }
  for await (const events of userEvents(reopen())) yield unmoved(events)
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
  for await (const events of userEvents(tar)) {
    for (const event of events) {
      if (event.kind !== 'entry') continue
      const { entry, raw } = event
      rules.check(entry)
      const name = cleanName(entry.name)
      const target = entry.type === 'hardlink' ? cleanName(entry.linkName) : undefined
      const size = raw.byteLength + entry.size
      units.set(name, { ordinal: units.size, name, target, size })
    }
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
async function* readInOrder(tar: ByteStream, reading: readonly Unit[]): Batches {
  const turns = new Turns(reading)
  for await (const events of userEvents(tar)) {
    yield turns.pass(events)
    if (turns.isOver) return
  }
  yield turns.finish()
}

class Turns {
  readonly #reading: readonly Unit[]
  readonly #wanted: ReadonlySet<number>
  readonly #held = new Map<number, TarEvent[]>()
  #turn = 0
  #ordinal = -1

  constructor(reading: readonly Unit[]) {
    this.#reading = reading
    this.#wanted = new Set(reading.map((unit) => unit.ordinal))
  }

  get isOver(): boolean {
    return this.#turn === this.#reading.length
  }

  *pass(events: Iterable<TarEvent>): Generator<TarEvent> {
    for (const event of events) {
      if (event.kind === 'entry') yield* this.#next()
      if (this.isOver) return
      if (this.#isItsTurn) yield event
      else if (this.#wanted.has(this.#ordinal)) this.#hold(event)
    }
  }

  /** What is still held back when the tar has ended. */
  *finish(): Generator<TarEvent> {
    if (this.#isItsTurn) this.#turn += 1
    for (const unit of this.#reading.slice(this.#turn)) yield* this.#held.get(unit.ordinal) ?? []
  }

  get #isItsTurn(): boolean {
    return this.#reading[this.#turn]?.ordinal === this.#ordinal
  }

  /** Another entry begins: the one before is whole, and those that waited for it may follow. */
  *#next(): Generator<TarEvent> {
    if (this.#isItsTurn) this.#turn += 1
    for (let early = this.#early(); early !== undefined; early = this.#early()) {
      yield* early
      this.#turn += 1
    }
    this.#ordinal += 1
  }

  #early(): readonly TarEvent[] | undefined {
    return this.#held.get(this.#reading[this.#turn]?.ordinal ?? -1)
  }

  #hold(event: TarEvent): void {
    const kept = this.#held.get(this.#ordinal) ?? []
    this.#held.set(this.#ordinal, kept)
    kept.push(copyOf(event))
  }
}

/** Views would keep the whole chunks alive that they are cut from. */
function copyOf(event: TarEvent): TarEvent {
  return event.kind === 'entry'
    ? { ...event, raw: Uint8Array.from(event.raw) }
    : { ...event, bytes: Uint8Array.from(event.bytes) }
}

/** What the user put into the layer: without an earlier table and landmarks, global headers and the tar's end. */
async function* userEvents(tar: ByteStream): Batches {
  let isOurs = false
  let isEmpty = true
  function* users(events: Iterable<TarEvent>): Generator<TarEvent> {
    for (const event of events) {
      isEmpty = false
      if (event.kind === 'entry') isOurs = isDropped(event.entry)
      if (!isOurs && event.kind !== 'end') yield event
    }
  }
  for await (const events of readTarBatches(tar)) yield users(events)
  if (isEmpty) throw new AmbiguousTarError('the layer has no bytes at all')
}

function isDropped(entry: TarEntry): boolean {
  if (entry.type !== 'global') return isReserved(cleanName(entry.name))
  checkGlobalHeader(entry)
  return true
}

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
    bytes: { name, linkName: '', userName: '', groupName: '' },
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
