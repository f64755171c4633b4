/** Pure: which blobs go when the store is over its budget, and why the others stay (design: "Storage"). */
import type { Digest } from '../oci/digest.ts'

/** A blob in the store and what decides about it. */
export interface StoredBlob {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  /**
   * `orphan`: nothing links to it; `forgotten`: its name was removed, and nobody has asked for it since; `pinned`: a pinned name
   * leads to it.
   */
  readonly role: 'manifest' | 'config' | 'layer' | 'orphan' | 'forgotten' | 'pinned'
  /** When it was last served, converted from, linked or stored, ms since 1970: the latest of them. */
  readonly touchedAt: number
  /** True when the same bytes can be had again: from an upstream, or from their source by what made them. */
  readonly comesBack: boolean
}

export interface EvictionPolicy {
  /** ms since 1970. */
  readonly now: number
  /** Bytes that the store may hold. */
  readonly maxSize: number
  /** A blob that was touched less than this ago stays, ms. */
  readonly leaseMs: number
  /** An orphan stays at least this long, ms: an import links to its blobs when all of them are here. */
  readonly graceMs: number
}

export interface Victim {
  readonly digest: Digest
  readonly size: number
  readonly touchedAt: number
  readonly reason: 'orphan' | 'forgotten' | 'over-budget'
}

export interface EvictionPlan {
  /** Bytes in the store before anything goes. */
  readonly total: number
  /** In the order in which they go. */
  readonly victims: readonly Victim[]
  /** Bytes that stay, by why they cannot go. */
  readonly kept: {
    readonly described: number
    readonly pinned: number
    readonly leased: number
    readonly irreplaceable: number
  }
  /** Bytes by which the store stays over its budget, since nothing more may go. */
  readonly overBy: number
}

/** Evicting goes on to this part of the budget, so that the next blob does not start it again. */
const LOW_WATER = 0.95

/** What manifests and configs may take of the budget before they go like everything else: whoever pushes them must not own the disk. */
export const DESCRIBED_PART = 0.25

/**
 * Orphans and what was forgotten go in any case once their lease is over. Above the budget, manifests and configs follow
 * that are beyond their share of it, then layers, each least recently touched first, until the store is at 95 % of its
 * budget. Within their share manifests and configs stay: they are small, and every digest once handed out needs them.
 */
export function planEviction(blobs: readonly StoredBlob[], policy: EvictionPolicy): EvictionPlan {
  const { now, maxSize, leaseMs, graceMs } = policy
  const kept = { described: 0, pinned: 0, leased: 0, irreplaceable: 0 }
  const victims: Victim[] = []
  const evictable: Record<'described' | 'layers', StoredBlob[]> = { described: [], layers: [] }
  let total = 0
  for (const blob of blobs) {
    total += blob.size
    if (blob.role === 'pinned') {
      kept.pinned += blob.size
      continue
    }
    const isDescription = blob.role === 'manifest' || blob.role === 'config'
    // A clock that was set back must not make everything look old, nor new for ever.
    const isLeased = Math.abs(now - blob.touchedAt) < (blob.role === 'orphan' ? graceMs : leaseMs)
    if (isDescription) kept.described += blob.size
    else if (isLeased) kept.leased += blob.size
    else if (blob.role !== 'layer') victims.push(victimOf(blob, blob.role))
    else if (!blob.comesBack) kept.irreplaceable += blob.size
    if (isLeased || !blob.comesBack) continue
    if (isDescription) evictable.described.push(blob)
    else if (blob.role === 'layer') evictable.layers.push(blob)
  }
  let left = total - victims.reduce((sum, victim) => sum + victim.size, 0)
  const evict = (from: StoredBlob[], isEnough: () => boolean) => {
    from.sort((a, b) => a.touchedAt - b.touchedAt || (a.digest < b.digest ? -1 : 1))
    for (const blob of from) {
      if (left <= maxSize * LOW_WATER || isEnough()) return
      victims.push(victimOf(blob, 'over-budget'))
      left -= blob.size
      if (blob.role !== 'layer') kept.described -= blob.size
    }
  }
  if (left > maxSize) {
    evict(evictable.described, () => kept.described <= maxSize * DESCRIBED_PART)
    evict(evictable.layers, () => false)
  }
  return { total, victims, kept, overBy: Math.max(0, left - maxSize) }
}

function victimOf({ digest, size, touchedAt }: StoredBlob, reason: Victim['reason']): Victim {
  return { digest, size, touchedAt, reason }
}
