/** What the server does besides serving: collects garbage, scrubs, and shows both in metrics and log. */
import type { App } from '../app.ts'
import { CrossdockError } from '../errors.ts'
import { Keeper } from '../upkeep/keeper.ts'
import { SharedMeter } from '../upkeep/shared-meter.ts'
import { readVersion } from './version.ts'

export function keepHouse(app: App): Keeper {
  const { settings, telemetry, store, outages } = app
  outages.watch()
  telemetry.watch({
    version: readVersion(),
    budget: () => settings.keeping.maxSize,
    storeBytes: async () => store.bytes,
    jobs: () => app.progress.running,
    queued: () => app.layers.queued,
    downloads: () => app.blobs.downloads,
    isInTurn: () => keeper.isInTurn,
    reached: () => {
      const away = new Set(outages.list().map(({ part }) => part))
      return outages.parts.map((part) => ({ part, isReached: !away.has(part) }))
    },
  })
  const { coordination } = app
  const keeper = new Keeper({
    ...app,
    turns: coordination?.turns,
    meter: coordination && new SharedMeter({ ...app, notices: coordination.notices }),
    policy: settings.keeping,
    events: {
      collected: (collected) => telemetry.collected(collected),
      scrubBegan: () => app.activity.upkeep.scrubBegan(),
      scrubbed: (found) => telemetry.scrubbed(found),
      folded: (blob) => telemetry.folded(blob),
      unfoldable: (blob) => telemetry.unfoldable(blob),
      checked: (check) => telemetry.checked(check),
      failed: (chore, error) => {
        // That the store is away was said.
        if (!isPassing(error) || outages.list().length === 0) telemetry.choreFailed(chore, error)
      },
    },
  })
  return keeper
}

function isPassing(error: unknown): boolean {
  return error instanceof CrossdockError && error.kind === 'overloaded'
}
