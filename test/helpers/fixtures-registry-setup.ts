/** The upstream registry, which runs as long as any test run uses it; and the set-up of tests that need nothing else that exists once. */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CACHE, findMissing } from './fixtures.ts'
import { findPid, startDaemon, stopDaemon } from './fixtures-daemons.ts'
import { lock, signedIn, signIn } from './machine-lock.ts'

const USERS = join(CACHE, 'registry.users')
const LOCK = join(CACHE, 'registry.lock')

/** A registry that somebody else started is left running. */
const NOT_OURS = 'not-ours'

export async function setup(): Promise<() => Promise<void>> {
  if (findMissing(['shared', 'registry']) !== undefined) return async () => undefined
  return await useRegistry()
}

/** Starts it unless it runs; resolves with the way to leave it, which stops it for the last user. */
export async function useRegistry(): Promise<() => Promise<void>> {
  const mine = join(USERS, `${process.pid}`)
  await locked(async () => {
    await mkdir(USERS, { recursive: true })
    const isFirst = (await users()).length === 0
    if (isFirst) await rm(join(USERS, NOT_OURS), { force: true })
    if (isFirst && (await findPid('registry')) !== undefined) await signIn(join(USERS, NOT_OURS))
    await signIn(mine)
    await startDaemon('registry')
  })
  return () =>
    locked(async () => {
      await rm(mine, { force: true })
      if ((await users()).length > 0) return
      if ((await readdir(USERS)).includes(NOT_OURS)) return
      await stopDaemon('registry')
    })
}

/** Those that still live; what the others left is removed. */
async function users(): Promise<readonly string[]> {
  const living: string[] = []
  for (const name of await readdir(USERS)) {
    if (name === NOT_OURS) continue
    if ((await signedIn(join(USERS, name))) !== undefined) living.push(name)
    else await rm(join(USERS, name), { force: true })
  }
  return living
}

async function locked(body: () => Promise<void>): Promise<void> {
  const unlock = await lock(LOCK)
  try {
    await body()
  } finally {
    await unlock()
  }
}
