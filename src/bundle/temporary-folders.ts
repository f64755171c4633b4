/**
 * Folders beside what is written, for what is not whole yet. Their names say which process of which machine made them, so that
 * what a process left that was killed is swept by the next one that writes there.
 */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, readlink, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

/** Machine, process, when that began, and a random word. */
const NAME = /^\.crossdock-export-([0-9a-f]{12})-(\d+)-(\d+)-[0-9a-f]{8}$/

/** How long what other machines left beside a shared folder is let alone, ms. Whoever writes touches it all the time. */
const ABANDONED_MS = 7 * 24 * 60 * 60_000

/** A new folder in `parent`, after a sweep of what nobody owns any more. */
export async function makeTemporary(parent: string): Promise<string> {
  await sweepTemporaries(parent)
  const { pid } = process
  const owner = `${await thisMachine()}-${pid}-${(await startOf(pid)) ?? 0}`
  const path = join(parent, `.crossdock-export-${owner}-${randomUUID().slice(0, 8)}`)
  // Nobody else is to put links where this process writes.
  await mkdir(path, { mode: 0o700 })
  return path
}

/** Removes what ended processes left; what cannot be removed stays. */
export async function sweepTemporaries(parent: string, now = Date.now()): Promise<void> {
  const names = (await readdir(parent).catch(() => [])).filter((name) => NAME.test(name))
  for (const name of names) {
    const path = join(parent, name)
    if (await isOwned(path, name, now)) continue
    await rm(path, { recursive: true, force: true }).catch(() => undefined)
  }
}

async function isOwned(path: string, name: string, now: number): Promise<boolean> {
  const [, machine, pid, start] = NAME.exec(name) ?? []
  if (machine !== (await thisMachine())) return now - (await lastChange(path)) < ABANDONED_MS
  if (!isRunning(Number(pid))) return false
  const began = await startOf(Number(pid))
  return began === undefined || start === '0' || String(began) === start
}

/** Process ids mean something within one namespace of one machine. */
async function thisMachine(): Promise<string> {
  const namespace = await readlink('/proc/self/ns/pid').catch(() => '')
  return createHash('sha256').update(`${hostname()} ${namespace}`).digest('hex').slice(0, 12)
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Somebody else's process is one.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** When a process began, in ticks since the machine did, since ids are given again; `undefined`: the system does not say. */
async function startOf(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // proc_pid_stat(5): the name in brackets may hold anything; field 22 is the 20th behind it.
  const ticks = Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[19])
  return text !== '' && Number.isSafeInteger(ticks) ? ticks : undefined
}

async function lastChange(folder: string): Promise<number> {
  const paths = (await readdir(folder).catch(() => [])).map((name) => join(folder, name))
  const infos = await Promise.all(
    [folder, ...paths].map((path) => stat(path).catch(() => undefined)),
  )
  return Math.max(0, ...infos.map((info) => info?.mtimeMs ?? 0))
}
