/**
 * Links in a data folder that others can write to lead what crossdock writes, locks and sweeps wherever they please. Those of the
 * user that runs it, and of root, are meant: a folder may well lie on another disk.
 */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { CrossdockError } from '../errors.ts'
import { isMissing } from './failures.ts'
import type { Layout } from './layout.ts'

const ROOT = 0

/** Throws `refused` for a link of somebody else's in a place where crossdock writes; `more` of them beside those of the layout. */
export async function refusePlantedLinks(
  layout: Layout,
  more: readonly string[] = [],
): Promise<void> {
  const { data, catalog, blobs, sidecars, quarantine, tmp, locks } = layout
  const catalogs = ['', '-wal', '-shm', '-journal', '.open'].map((end) => `${catalog}${end}`)
  for (const path of [
    ...more,
    blobs,
    sidecars,
    quarantine,
    tmp,
    locks,
    join(locks, 'server'),
    ...catalogs,
  ]) {
    const found = await lstat(path).catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw error
    })
    if (!found?.isSymbolicLink() || found.uid === ROOT || found.uid === process.geteuid?.())
      continue
    throw new CrossdockError(
      'refused',
      `${path} is a link that the user with the id ${found.uid} has put there, and may lead anywhere; remove it, and let nobody else write to ${data}`,
      { reason: 'planted-link' },
    )
  }
}
