/** `crossdock gc`: evicts to the budget and sweeps, or explains what would go, what stays, and why. */
import type { Collected, Findings } from '../upkeep/collector.ts'
import type { Victim } from '../upkeep/eviction.ts'
import { EXIT, formatBytes, formatTable } from './output.ts'
import { type CommonOptions, openStored } from './session.ts'
import type { System } from './system.ts'

export interface GcOptions extends CommonOptions {
  readonly dryRun?: boolean
}

const REASONS: Readonly<Record<Victim['reason'], string>> = {
  orphan: 'nothing links to it',
  forgotten: 'its name was removed',
  'over-budget': 'least recently used',
}

export async function gcCommand(options: GcOptions, system: System): Promise<number> {
  await using app = await openStored(options, system)
  const found = options.dryRun ? await app.collector.plan() : await app.collector.collect()
  const now = app.clock.now()
  const text = options.json
    ? `${JSON.stringify(describe(found), null, 2)}\n`
    : format(found, { now, lease: app.config.cache.lease, maxSize: app.config.cache.maxSize })
  system.output.out(text)
  return EXIT.ok
}

interface Terms {
  readonly now: number
  readonly lease: number
  readonly maxSize: number
}

function format(found: Findings | Collected, { now, lease, maxSize }: Terms): string {
  const { plan, budget, blobs } = found
  const { kept, overBy } = plan
  const isDone = 'gone' in found
  const victims = isDone ? found.gone : plan.victims
  const limit = budget < maxSize ? 'what the disk leaves room for' : 'cache.maxSize'
  const lines = [
    `store    ${formatBytes(plan.total)} in ${blobs} blobs`,
    `budget   ${formatBytes(budget)} (${limit})`,
    `stays    ${formatBytes(kept.described)} manifests and configs, which have a quarter of the budget to themselves`,
    ...(kept.pinned > 0 ? [`         ${formatBytes(kept.pinned)} pinned (crossdock pin)`] : []),
    `         ${formatBytes(kept.leased)} used or linked within the lease of ${formatAge(lease)} (cache.lease)`,
    ...lostLines(found),
    `${isDone ? 'evicted ' : 'would go'} ${formatBytes(sizeOf(victims))} in ${victims.length} blobs`,
    ...(overBy > 0
      ? [
          `over by  ${formatBytes(overBy)}: nothing more may go now; raise cache.maxSize or shorten cache.lease`,
        ]
      : []),
  ]
  const rows = victims.map(({ digest, size, touchedAt, reason }) => [
    digest,
    formatBytes(size),
    `${formatAge(Math.max(0, now - touchedAt))} ago`,
    REASONS[reason],
    comesFrom(found, digest),
  ])
  const table = formatTable(['DIGEST', 'SIZE', 'LAST USED', 'WHY', 'COMES BACK FROM'], rows)
  return `${lines.join('\n')}\n${rows.length > 0 ? `\n${table}` : ''}`
}

function lostLines({ plan, returns }: Findings): string[] {
  if (plan.kept.irreplaceable === 0) return []
  const why = new Set<string>()
  for (const one of returns.values()) if ('lost' in one) why.add(one.lost)
  return [
    `         ${formatBytes(plan.kept.irreplaceable)} that could not be had again:`,
    ...[...why].sort().map((reason) => `           ${reason}`),
  ]
}

function comesFrom({ returns }: Findings, digest: Victim['digest']): string {
  const back = returns.get(digest)
  return back !== undefined && 'from' in back ? back.from : '-'
}

function sizeOf(victims: readonly Victim[]): number {
  return victims.reduce((sum, { size }) => sum + size, 0)
}

/** `3 d`, `2 h`, `15 m`, `40 s`: as exact as a decision about eviction needs. */
function formatAge(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
  ] as const
  const [unit, length] = units.find(([, one]) => ms >= one) ?? ['s', 1_000]
  return `${Math.floor(ms / length)} ${unit}`
}

function describe(found: Findings | Collected) {
  const { plan, budget, blobs, returns } = found
  const isDone = 'gone' in found
  const victims = (isDone ? found.gone : plan.victims).map((victim) => {
    const { digest, size, touchedAt, reason } = victim
    const back = returns.get(digest)
    return {
      digest,
      size,
      lastUsed: new Date(touchedAt).toISOString(),
      reason,
      comesBackFrom: back !== undefined && 'from' in back ? back.from : null,
    }
  })
  const irreplaceable = [...returns].flatMap(([digest, back]) =>
    'lost' in back ? [{ digest, reason: back.lost }] : [],
  )
  const { total, kept, overBy } = plan
  return { dryRun: !isDone, total, blobs, budget, kept, overBy, victims, irreplaceable }
}
