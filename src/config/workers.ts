/** How many processes serve from one data folder. */
import type { Config } from './schema.ts'

/** Below it one process has the machine to itself: its threads compress and hash beside the one that answers. */
const CORES = 4

/** More only wait for each other where all of them write, in the catalog. */
const MOST = 8

/** `cores`: of the machine, for `auto`: half of them answer, the others are left to threads that compress and hash. */
export function workersOf(
  { workers, store }: Pick<Config, 'workers' | 'store'>,
  cores: number,
): number {
  if (workers !== 'auto') return workers
  if (cores < CORES || store.blobs.kind !== 'disk') return 1
  return Math.min(MOST, Math.floor(cores / 2))
}
