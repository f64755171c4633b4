/** Garbage collection: looks at everything in the store, decides what goes, and deletes it, while pulls run. */
import { Turns } from '../lib/turns.ts'
import type { Digest } from '../oci/digest.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import {
  DESCRIBED_PART,
  type EvictionPlan,
  planEviction,
  type StoredBlob,
  type Victim,
} from './eviction.ts'
import type { SharedTurn, SharedTurns } from '../ports/shared-turns.ts'
import type { Pinned } from './pinned.ts'
import type { Return, Returns } from './returns.ts'
import { COLLECT, inTurn } from './shared-turn.ts'

export interface CollectorPolicy {
  /** Bytes that the store may hold. */
  readonly maxSize: number
  readonly leaseMs: number
}

/** What a collection would do, and why. */
export interface Findings {
  readonly plan: EvictionPlan
  /** Bytes that the store may hold: `maxSize`, or less where the disk is fuller than that. */
  readonly budget: number
  readonly blobs: number
  readonly returns: ReadonlyMap<Digest, Return>
}

export interface Collected extends Findings {
  /** What went; a blob that somebody asked for meanwhile has stayed. */
  readonly gone: readonly Victim[]
}

/** Blobs that nothing links to stay this long at least, ms. */
const ORPHAN_GRACE_MS = 3_600_000

/** A "manifest" or "config" beyond this is no description of anything, but what somebody wants kept for ever; bytes. */
const MAX_DESCRIPTION = 8 * 1024 * 1024

/** Blobs of which it is asked whether they come back, until others have their turn. */
const JUDGED_IN_A_TURN = 25

export interface CollectorDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly returns: Returns
  readonly pinned: Pick<Pinned, 'digests'>
  readonly clock: Clock
  readonly policy: CollectorPolicy
  /** Where others share the store. */
  readonly turns?: SharedTurns | undefined
}

export class Collector {
  readonly #deps: CollectorDeps
  #last: Promise<unknown> = Promise.resolve()

  constructor(deps: CollectorDeps) {
    this.#deps = deps
  }

  async plan(): Promise<Findings> {
    const pinned = await this.#deps.pinned.digests()
    const blobs: StoredBlob[] = []
    let total = 0
    for await (const { digest, size, storedAt } of this.#deps.store.list()) {
      total += size
      const blob = await this.#describe(digest, size, storedAt)
      blobs.push(pinned.has(digest) ? { ...blob, role: 'pinned' } : blob)
    }
    const budget = await this.#budget(total)
    const policy = {
      now: this.#deps.clock.now(),
      maxSize: budget,
      leaseMs: this.#deps.policy.leaseMs,
      graceMs: Math.max(this.#deps.policy.leaseMs, ORPHAN_GRACE_MS),
    }
    const returns = new Map<Digest, Return>()
    const judged = total <= budget ? blobs : await this.#judge(blobs, budget, returns)
    return { plan: planEviction(judged, policy), budget, blobs: blobs.length, returns }
  }

  /** Rejects with the signal's reason while it waits for others who collect. */
  async collect(signal?: AbortSignal): Promise<Collected> {
    return await this.exclusively((turn) => this.#collect(turn), signal)
  }

  /** Runs `work` while nothing is collected: what could come back from what stays as it is. One after the other, in all processes. */
  exclusively<T>(work: (turn: SharedTurn) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const done = this.#last.then(() => inTurn(this.#deps.turns, COLLECT, work, signal))
    this.#last = done.catch(() => undefined)
    return done
  }

  /** Lets a blob go that was last touched at `seen`, ms since 1970. False when it was used since, or was gone. */
  async delete(digest: Digest, seen: number, turn: SharedTurn): Promise<boolean> {
    const { catalog, clock, store } = this.#deps
    turn.assertHeld()
    if (!(await catalog.retention.claimForDeletion(digest, seen, clock.now(), turn.fence))) {
      return false
    }
    return await store.delete(digest, () => turn.assertHeld())
  }

  async #collect(turn: SharedTurn): Promise<Collected> {
    const findings = await this.plan()
    const gone: Victim[] = []
    for (const victim of findings.plan.victims) {
      if (await this.delete(victim.digest, victim.touchedAt, turn)) gone.push(victim)
    }
    return { ...findings, gone }
  }

  async #describe(digest: Digest, size: number, storedAt: number): Promise<StoredBlob> {
    const kept = await this.#deps.catalog.retention.describe(digest)
    const touchedAt = Math.max(storedAt, kept?.touchedAt ?? 0)
    return { digest, size, touchedAt, role: roleOf(kept, size), comesBack: true }
  }

  /** Only what may have to go is asked about: manifests and configs when they have more than their share. */
  async #judge(
    blobs: readonly StoredBlob[],
    budget: number,
    returns: Map<Digest, Return>,
  ): Promise<readonly StoredBlob[]> {
    const judged: StoredBlob[] = []
    const turns = new Turns(JUDGED_IN_A_TURN)
    const described = blobs.filter(isDescription).reduce((sum, { size }) => sum + size, 0)
    for (const blob of blobs) {
      const mayGo = isDescription(blob)
        ? described > budget * DESCRIBED_PART
        : blob.role === 'layer'
      if (!mayGo) {
        judged.push(blob)
        continue
      }
      // What an embedded catalog answers lets nobody else in.
      await turns.spend()
      const back = await this.#deps.returns.of(blob.digest)
      returns.set(blob.digest, back)
      judged.push({ ...blob, comesBack: 'from' in back })
    }
    return judged
  }

  /** Whatever `maxSize` says, the disk's reserve is not for the store. */
  async #budget(total: number): Promise<number> {
    const room = await this.#deps.store.room()
    const { maxSize } = this.#deps.policy
    return room === undefined ? maxSize : Math.max(0, Math.min(maxSize, total + room))
  }
}

function isDescription({ role }: StoredBlob): boolean {
  return role === 'manifest' || role === 'config'
}

function roleOf(
  kept: Awaited<ReturnType<Catalog['retention']['describe']>>,
  size: number,
): StoredBlob['role'] {
  if (kept === undefined) return 'orphan'
  if (kept.isReleased) return 'forgotten'
  return size > MAX_DESCRIPTION ? 'layer' : kept.role
}
