/** `crossdock gc`: evicts to the budget and sweeps, or explains what would go, what stays, and why. */
import type { CollectResult } from '../admin/upkeep.ts'
import type { ActingOptions } from './acting.ts'
import { openActing } from './open-acting.ts'
import { EXIT, formatBytes, formatTable } from './output.ts'
import { openStored } from './session.ts'
import type { System } from './system.ts'

export interface GcOptions extends ActingOptions {
  readonly dryRun?: boolean
}

type Victim = CollectResult['victims'][number]

const REASONS: Readonly<Record<Victim['reason'], string>> = {
  orphan: 'nothing links to it',
  forgotten: 'its name was removed',
  'over-budget': 'least recently used',
}

export async function gcCommand(options: GcOptions, system: System): Promise<number> {
  await using acting = await openActing(options, system, openStored)
  const found = await acting.act('gc', { dryRun: options.dryRun === true })
  const text = options.json ? `${JSON.stringify(found, null, 2)}\n` : format(found, Date.now())
  system.output.out(text)
  return EXIT.ok
}

function format(found: CollectResult, now: number): string {
  const { total, blobs, budget, maxSize, leaseMs, kept, overBy, victims, dryRun } = found
  const limit = budget < maxSize ? 'what the disk leaves room for' : 'cache.maxSize'
  const lines = [
    `store    ${formatBytes(total)} in ${blobs} blobs`,
    `budget   ${formatBytes(budget)} (${limit})`,
    `stays    ${formatBytes(kept.described)} manifests and configs, which have a quarter of the budget to themselves`,
    ...(kept.pinned > 0 ? [`         ${formatBytes(kept.pinned)} pinned (crossdock pin)`] : []),
    `         ${formatBytes(kept.leased)} used or linked within the lease of ${formatAge(leaseMs)} (cache.lease)`,
    ...lostLines(found),
    ...foldedLines(found),
    `${dryRun ? 'would go' : 'evicted '} ${formatBytes(sizeOf(victims))} in ${victims.length} blobs`,
    ...(overBy > 0
      ? [
          `over by  ${formatBytes(overBy)}: nothing more may go now; raise cache.maxSize or shorten cache.lease`,
        ]
      : []),
  ]
  const rows = victims.map(({ digest, images, size, lastUsed, reason, comesBackFrom }) => [
    digest,
    formatImages(images),
    formatBytes(size),
    `${formatAge(Math.max(0, now - Date.parse(lastUsed)))} ago`,
    REASONS[reason],
    comesBackFrom ?? '-',
  ])
  const table = formatTable(
    ['DIGEST', 'IMAGE', 'SIZE', 'LAST USED', 'WHY', 'COMES BACK FROM'],
    rows,
  )
  return `${lines.join('\n')}\n${rows.length > 0 ? `\n${table}` : ''}`
}

/** The first one stands for all. */
function formatImages([first, ...others]: readonly string[]): string {
  if (first === undefined) return '-'
  return others.length === 0 ? first : `${first} and ${others.length} more`
}

function lostLines({ kept, irreplaceable }: CollectResult): string[] {
  if (kept.irreplaceable === 0) return []
  const why = new Set(irreplaceable.map(({ reason }) => reason))
  return [
    `         ${formatBytes(kept.irreplaceable)} that could not be had again:`,
    ...[...why].sort().map((reason) => `           ${reason}`),
  ]
}

function foldedLines({ folded }: CollectResult): string[] {
  const { layers, size, corrections } = folded
  if (layers === 0) return []
  const kept = `${layers} gzip ${layers === 1 ? 'layer' : 'layers'} of ${formatBytes(size)}`
  return [
    `folded   ${kept} kept as zstd and ${formatBytes(corrections)} of corrections (cache.dedup)`,
  ]
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
