/** The store on disk in a folder of its own, which goes when the test is done. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/ports/clock.ts'
import { openStore, type Store, type StoreDeps } from '../../src/store/open.ts'

export interface DiskStore extends Store {
  readonly data: string
  /** Closes and opens it again, as a restart would. */
  reopen(between?: () => Promise<void>): Promise<DiskStore>
}

export async function diskStore(clock: Clock = systemClock, how: How = {}): Promise<DiskStore> {
  return await openIn(await mkdtemp(join(tmpdir(), 'crossdock-store-')), clock, how)
}

type How = Pick<StoreDeps, 'sibling'>

async function openIn(data: string, clock: Clock, how: How): Promise<DiskStore> {
  const store = await openStore({ data, clock, ...how })
  return {
    ...store,
    data,
    async reopen(between) {
      await store[Symbol.asyncDispose]()
      await between?.()
      return await openIn(data, clock, how)
    },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]()
      await rm(data, { recursive: true, force: true })
    },
  }
}
