/**
 * Tells after a power cut that the catalog may lack its youngest rows: a mark beside it, there while anybody has it open,
 * names the machine's boot. What was written before a process was killed the kernel still writes; at another boot it is gone.
 */
import { existsSync } from 'node:fs'
import { open, readFile, rm, writeFile } from 'node:fs/promises'
import { isMissing } from './failures.ts'
import { FILE_MODE, type Layout, syncFolder } from './layout.ts'

/** Linux's; containers see their host's, which is what counts. */
const BOOT = '/proc/sys/kernel/random/boot_id'

/** Ask before anybody opens the catalog: the first to close it again removes the WAL. */
export async function mayLackRows(layout: Layout): Promise<boolean> {
  const marked = await textOf(markOf(layout))
  if (marked === undefined) return false
  const boot = await textOf(BOOT)
  return boot === undefined || marked !== boot || !hasWal(layout)
}

/** Durable before the catalog is opened. */
export async function markOpen(layout: Layout): Promise<void> {
  const boot = (await textOf(BOOT)) ?? ''
  if ((await textOf(markOf(layout))) === boot) return
  const handle = await open(markOf(layout), 'w', FILE_MODE)
  try {
    await handle.writeFile(boot)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await syncFolder(layout.data)
}

/** Whoever opens the catalog next completes it from the store: others have written there. */
export async function markIncomplete(layout: Layout): Promise<void> {
  await writeFile(markOf(layout), 'incomplete', { mode: FILE_MODE })
}

/** The last one to close a catalog writes all of it into its file, and removes the WAL. */
export async function unmarkClosed(layout: Layout): Promise<void> {
  if (!hasWal(layout)) await rm(markOf(layout), { force: true })
}

function hasWal(layout: Layout): boolean {
  return existsSync(`${layout.catalog}-wal`)
}

function markOf(layout: Layout): string {
  return `${layout.catalog}.open`
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
