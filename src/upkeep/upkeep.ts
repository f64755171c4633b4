/** Wires this folder: what keeps the store sound and within its budget. */
import type { DecodeLimits } from '../codec/codec.ts'
import type { Profiles } from '../config/profiles.ts'
import type { Pulls } from '../convert/pulls.ts'
import type { Remaker } from '../convert/remaker.ts'
import type { Restorations } from '../convert/restorations.ts'
import type { SingleLayers } from '../convert/single-layers.ts'
import type { ModelLimits } from '../oci/manifest.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { Coordination } from '../ports/leases.ts'
import type { Pins } from '../ports/pins.ts'
import type { SidecarStore } from '../ports/sidecars.ts'
import type { Upstreams } from '../ports/upstream.ts'
import type { Manifests } from '../pull/manifests.ts'
import { Collector, type CollectorPolicy } from './collector.ts'
import { Deduplicator, type DeduplicatorPolicy } from './deduplicator.ts'
import { Healer } from './healing.ts'
import { Pinned } from './pinned.ts'
import { Returns } from './returns.ts'
import { Verifier } from './verification.ts'

export interface UpkeepDeps {
  readonly store: BlobStore
  readonly sidecars: SidecarStore
  readonly catalog: Catalog
  readonly pins: Pins
  readonly upstreams: Upstreams
  readonly offline: boolean
  readonly manifests: Manifests
  readonly pieces: SingleLayers
  readonly restorations: Restorations
  readonly remaker: Remaker
  readonly pulls: Pulls
  readonly profiles: Profiles
  readonly limits: ModelLimits
  readonly decodeLimits: DecodeLimits
  readonly clock: Clock
  readonly policy: CollectorPolicy & DeduplicatorPolicy
  /** With other processes that share the store. */
  readonly coordination: Coordination | undefined
}

export interface Upkeep {
  readonly pinned: Pinned
  readonly collector: Collector
  readonly deduplicator: Deduplicator
  readonly verifier: Verifier
}

export function createUpkeep(deps: UpkeepDeps): Upkeep {
  const pinned = new Pinned(deps)
  const returns = new Returns(deps)
  const turns = deps.coordination?.turns
  const collector = new Collector({ ...deps, pinned, returns, turns })
  const deduplicator = new Deduplicator({ ...deps, collector, returns, pinned })
  const verifier = new Verifier({ ...deps, pinned, healer: new Healer(deps) })
  return { pinned, collector, deduplicator, verifier }
}
