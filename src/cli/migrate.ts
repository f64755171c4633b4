/** `crossdock migrate`: an embedded store into a shared one, while it is served. */
import { systemClock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import { isStore } from '../store/layout.ts'
import { type Migrated, type MigrationDeps, migrate } from '../store/migration/migration.ts'
import { nameOf } from '../store/s3/place.ts'
import { unlessInterrupted } from './interruption.ts'
import { EXIT, formatBytes, type Output, UsageError } from './output.ts'
import { type CommonOptions, loadFor } from './session.ts'
import type { System } from './system.ts'

export interface MigrateOptions extends CommonOptions {
  readonly to: string
  readonly dryRun?: boolean
}

/** How often whoever waits is told how far it is, ms. */
const TELL_MS = 5_000

export async function migrateCommand(options: MigrateOptions, system: System): Promise<number> {
  const { config: own } = await loadFor(options, system)
  const { config: other } = await loadFor({ config: options.to }, system)
  const place = await checkPlaces(own, other)
  const { dryRun: isLook = false } = options
  const work = migrate({
    from: own.data,
    to: { data: other.data, place },
    clock: systemClock,
    isLook,
    events: tellTo(system.output),
  })
  const kept = 'what was copied stays, and the same command goes on from there'
  const found = await unlessInterrupted(work, system, kept)
  const text = options.json
    ? `${JSON.stringify({ ...found, dryRun: isLook }, null, 2)}\n`
    : format(found, nameOf(place.blobs), isLook)
  system.output.out(text)
  return found.lost.length === 0 ? EXIT.ok : EXIT.failed
}

type Place = MigrationDeps['to']['place']

/** Throws UsageError. */
async function checkPlaces(own: Config, other: Config): Promise<Place> {
  if (own.store.blobs.kind !== 'disk' || own.store.catalog.kind !== 'sqlite') {
    throw new UsageError(
      'only a store that lies in its data folder can be moved, and "store" of this configuration says otherwise; name the embedded one with --config or --data',
    )
  }
  if (!(await isStore(own.data))) {
    throw new UsageError(
      `there is no store in ${own.data}; check --data and "data" of the configuration`,
    )
  }
  const { blobs } = other.store
  if (blobs.kind !== 's3') {
    throw new UsageError(
      'the configuration that --to names keeps its blobs on a disk; set store.blobs there to s3://BUCKET/PREFIX (another folder needs no command: copy it while no server runs)',
    )
  }
  return { ...other.store, blobs }
}

const TOLD = {
  sidecars: 'copying tags and conversions',
  journal: 'copying pins and who may open what',
  catalog: 'making the catalog from what was copied',
} as const satisfies Record<Parameters<MigrationDeps['events']['tells']>[0], string>

function tellTo(output: Output): MigrationDeps['events'] {
  let [wanted, done, blobs, told] = [0, 0, 0, 0]
  return {
    begins(pass, missing) {
      ;[wanted, done, blobs, told] = [missing.bytes, 0, 0, performance.now()]
      const what = `${missing.blobs.length} of ${missing.total} blobs, ${formatBytes(wanted)}`
      output.err(`${pass === 1 ? 'to copy' : 'came meanwhile'}: ${what}\n`)
    },
    copied(what) {
      done += what.bytes
      blobs += what.blobs
      if (performance.now() - told < TELL_MS) return
      told = performance.now()
      output.err(`copied ${blobs} blobs, ${formatBytes(done)} of ${formatBytes(wanted)}\n`)
    },
    tells: (what) => output.err(`${TOLD[what]}\n`),
  }
}

function format(
  { moved, left, lost, isServed, removed }: Migrated,
  to: string,
  isLook: boolean,
): string {
  const sum = ({ blobs, bytes }: Migrated['moved']) => `${blobs} blobs, ${formatBytes(bytes)}`
  if (isLook) {
    const look = [`would copy ${sum(left)} to ${to}; nothing was changed`, ...sayRemoved(removed)]
    return `${look.join('\n')}\n`
  }
  const isAll = lost.length + removed.names.length + removed.pins.length === 0
  const lines = [
    `copied ${sum(moved)} to ${to}, with ${isAll ? 'all names, pins and conversions' : 'names, pins and conversions, but for these:'}`,
    ...lost.map(({ digest, why }) => `lost   ${digest}: ${why}`),
    ...sayRemoved(removed),
    ...(left.blobs > 0 ? [`left   ${sum(left)} that came meanwhile`] : []),
    isServed
      ? 'the old store is still served: end its server, run this once more for the rest, and start a server with the new configuration unless one serves'
      : 'start a server with the new configuration unless one serves; the old data folder may go when it serves',
  ]
  return `${lines.join('\n')}\n`
}

function sayRemoved({ names, pins }: Migrated['removed']): string[] {
  const nameOfTag = ({ upstream, name, tag }: (typeof names)[number]) =>
    `${upstream}/${name}:${tag}`
  const nameOfPin = ({ upstream, name, reference }: (typeof pins)[number]) =>
    `${upstream}/${name}${reference.includes(':') ? '@' : ':'}${reference}`
  return [
    ...names.map(
      (one) =>
        `not copied ${nameOfTag(one)}: it was removed at the new store; pull or stage it there to have it again`,
    ),
    ...pins.map(
      (one) =>
        `not pinned ${nameOfPin(one)}: it was unpinned at the new store; pin it there to have that again`,
    ),
  ]
}
