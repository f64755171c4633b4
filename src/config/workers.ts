/** How many processes serve from one data folder. */
import type { Config } from './schema.ts'

/** Below it one process has the machine to itself: its threads compress and hash beside the one that answers. */
const CORES = 4

/** More only wait for each other where all of them write, in the catalog. */
const MOST = 8

/** What one may come to need while it converts, bytes. */
const MEMORY_EACH = 1024 ** 3

export interface Machine {
  readonly cores: number
  /** Bytes, or as much of them as this process and those that it starts may take. */
  readonly memory: number
}

/** For `auto`, half of the cores answer; the others are left to threads that compress and hash. */
export function workersOf(
  { workers, store }: Pick<Config, 'workers' | 'store'>,
  { cores, memory }: Machine,
): number {
  if (workers !== 'auto') return workers
  if (cores < CORES || store.blobs.kind !== 'disk') return 1
  return Math.max(1, Math.min(MOST, Math.floor(cores / 2), Math.floor(memory / MEMORY_EACH)))
}
