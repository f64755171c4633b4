/**
 * A power cut, replayed: takes a data folder whose process was killed back to what a disk may hold then, by the journal of
 * what was synced. Names that were not synced go, folder by folder, from some moment on; of files only what was synced is
 * sure, the rest is cut off or zeros. SQLite's own files are `cutPower`'s part (power-cut.ts).
 */
import { existsSync } from 'node:fs'
import { link, lstat, open, readdir, readFile, rm, truncate } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Change, Line } from './faults-journal.ts'
import type { Dice } from './faults-seed.ts'

export interface Loss {
  /** Names that were taken back. */
  readonly names: number
  /** Files that lost bytes. */
  readonly files: number
}

export async function loseUnsynced(data: string, journal: string, dice: Dice): Promise<Loss> {
  const lines = (await readFile(journal, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
  const lost = namesLost(lines, dice)
  for (const change of lost) await takeBack(change)
  let files = 0
  const synced = sizesSynced(lines)
  for (const part of ['blobs', 'sidecars', 'quarantine', 'tmp']) {
    for (const path of await filesBelow(join(data, part))) {
      if (await loseBytes(path, synced, dice)) files += 1
    }
  }
  return { names: lost.length, files }
}

/** The youngest first. */
function namesLost(lines: readonly Line[], dice: Dice): readonly Change[] {
  const syncedUpTo = new Map<string, number>()
  for (const line of lines) {
    if (line.op !== 'sync folder') continue
    syncedUpTo.set(line.path, Math.max(line.upTo, syncedUpTo.get(line.path) ?? 0))
  }
  /** Where each folder's loss begins. */
  const unsure = new Map<string, number[]>()
  for (const [i, line] of lines.entries()) {
    if (line.op === 'sync folder' || line.op === 'sync file') continue
    const folder = dirname(line.path)
    if (i >= (syncedUpTo.get(folder) ?? 0)) unsure.set(folder, [...(unsure.get(folder) ?? []), i])
  }
  const lost: number[] = []
  for (const changes of unsure.values()) {
    // All of them every second time: that is what is promised nothing about.
    lost.push(...changes.slice(dice.chance(0.5) ? 0 : dice.int(changes.length + 1)))
  }
  return lost.sort((a, b) => b - a).map((i) => lines[i] as Change)
}

async function takeBack(change: Change): Promise<void> {
  await rm(change.path, { recursive: true, force: true })
  if (!('saved' in change) || change.saved === undefined) return
  // The folder itself may be among what goes.
  if (existsSync(dirname(change.path))) await link(change.saved, change.path)
}

function sizesSynced(lines: readonly Line[]): ReadonlyMap<number, number> {
  const sizes = new Map<number, number>()
  for (const line of lines) {
    if (line.op === 'create') sizes.set(line.ino, 0)
    if (line.op === 'sync file') sizes.set(line.ino, line.size)
  }
  return sizes
}

async function loseBytes(
  path: string,
  synced: ReadonlyMap<number, number>,
  dice: Dice,
): Promise<boolean> {
  const { ino, size } = await lstat(path)
  const sure = synced.get(ino)
  // What is older than the journal was synced long ago.
  if (sure === undefined || size <= sure) return false
  const end = dice.chance(0.5) ? sure : sure + dice.int(size - sure)
  await truncate(path, end)
  if (dice.chance(0.5)) return true
  // The file's length had reached the disk, its bytes had not.
  const handle = await open(path, 'r+')
  try {
    await handle.truncate(size)
  } finally {
    await handle.close()
  }
  return true
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}
