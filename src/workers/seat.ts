/** The place of one process among those that serve together. */
import type { Sibling } from '../ports/leases.ts'

export interface Seat extends Sibling {
  /** When the server began, ms since 1970; default: with this process. */
  readonly startedAt?: number
}

export const ALONE: Seat = { number: 0, of: 1, server: '', gone: [] }

/** Tasks and jobs that one process can number; more than it ever has. */
const IDS = 1_000_000

/** The number before the first that a process gives to a task or a job: no two processes give the same. */
export function idsAfter({ number }: Seat): number {
  return number * IDS
}

/** The process that gave the number. */
export function giverOf(id: number): number {
  return Math.floor(id / IDS)
}

/** Of every line that it logs. */
export function logFields({ number, of }: Seat): { readonly worker: number } | null {
  return of === 1 ? null : { worker: number }
}
