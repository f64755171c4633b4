/** What a power cut leaves of a catalog: nothing of a WAL that was not synced, and a machine that has booted again. */
import { existsSync } from 'node:fs'
import { rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** After the process that used the catalog was killed; `kept`: the part of the WAL, from 0 to 1, that reached the disk. */
export async function cutPower(data: string, kept: number): Promise<void> {
  const catalog = join(data, 'catalog.sqlite')
  // SQLite makes it anew from the WAL.
  await rm(`${catalog}-shm`, { force: true })
  const wal = `${catalog}-wal`
  if (kept === 0) await rm(wal, { force: true })
  else if (existsSync(wal)) await truncate(wal, Math.floor((await stat(wal)).size * kept))
  if (existsSync(`${catalog}.open`)) await writeFile(`${catalog}.open`, 'another boot')
}
