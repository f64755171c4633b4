/** `crossdock list`: what is in the store. */
import type { App } from '../app.ts'
import type { Sizes } from '../convert/forms.ts'
import { type Entry, Inventory } from '../convert/inventory.ts'
import { compileGlob } from '../lib/glob.ts'
import type { Digest } from '../oci/digest.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import { EXIT, formatBytes, formatTable, formatTime } from './output.ts'
import { type CommonOptions, openStored } from './session.ts'
import type { System } from './system.ts'

export async function listCommand(
  glob: string | undefined,
  options: CommonOptions,
  system: System,
): Promise<number> {
  await using app = await openStored(options, system)
  const inventory = new Inventory(app)
  const entries: Entry[] = []
  const blobs = new Map<Digest, number>()
  for await (const entry of inventory.list(filterFor(glob, app))) {
    entries.push(entry)
    for (const [digest, size] of entry.blobs) blobs.set(digest, size)
  }
  const pinned = await pinnedDigests(app)
  const isPinned = ({ repository, digest }: Entry) => pinned.has(keyOf(repository, digest))
  if (options.json) {
    const rows = entries.map((entry) => ({ ...describeEntry(entry), pinned: isPinned(entry) }))
    system.output.out(`${JSON.stringify(rows, null, 2)}\n`)
  } else if (entries.length === 0) system.output.err('nothing in the store matches\n')
  else system.output.out(formatList(entries, isPinned, await inventory.sizesOf(blobs)))
  return EXIT.ok
}

const HEAD = ['NAME', 'PROFILE', 'STATE', 'SIZE', 'STORED', 'LAST USED', 'DIGEST'] as const

/** A pattern without a host means the default upstream as well, one without a tag every tag. */
function filterFor(glob: string | undefined, app: App): (name: string) => boolean {
  if (glob === undefined) return () => true
  const whole = /:[^/]*$/.test(glob) ? glob : `${glob}:*`
  const hub = app.upstreams.default.name
  const candidates = [whole, `${hub}/${whole}`, `${hub}/library/${whole}`].map(compileGlob)
  return (name) => candidates.some((pattern) => pattern.test(name))
}

/** What pinned names lead to. */
async function pinnedDigests(app: App): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  for (const pin of await app.pins.list()) {
    const digest = await app.pinned.find(pin)
    if (digest !== undefined) found.add(keyOf(pin, digest))
  }
  return found
}

function keyOf({ upstream, name }: Repository, digest: Digest): string {
  return `${upstream}/${name}@${digest}`
}

function formatList(
  entries: readonly Entry[],
  isPinned: (entry: Entry) => boolean,
  total: Sizes,
): string {
  const count = (isWanted: (entry: Entry) => boolean) => entries.filter(isWanted).length
  const names = count(({ profile }) => profile === undefined)
  const conversions = entries.length - names
  const old = count(({ isCurrent }) => !isCurrent)
  const named = `${names} ${names === 1 ? 'name' : 'names'}`
  const made = `${conversions} ${conversions === 1 ? 'conversion' : 'conversions'}`
  const folded = total.folded === 0 ? '' : `, ${formatBytes(total.folded)} kept as one copy`
  const sizes = `${formatBytes(total.total)} in all, ${formatBytes(total.stored)} stored${folded}`
  const sum = `${named}, ${made}${old === 0 ? '' : ` (${old} outdated)`}; ${sizes}, counting once what several share`
  return `${formatTable(
    HEAD,
    entries.map((entry) => formatEntry(entry, isPinned(entry))),
  )}\n${sum}\n`
}

function formatState({ profile, isCurrent }: Entry, isPinned: boolean): string {
  const made = profile === undefined ? undefined : isCurrent ? 'current' : 'outdated'
  return (
    [made, isPinned ? 'pinned' : undefined].filter((word) => word !== undefined).join(', ') || '-'
  )
}

function formatEntry(entry: Entry, isPinned: boolean): string[] {
  const { repository, tag, profile, size, blobs, lastUsed, digest } = entry
  return [
    `${fullName(repository)}:${tag}`,
    profile ?? 'original',
    formatState(entry, isPinned),
    blobs.size === 0 ? '-' : formatBytes(size.total),
    blobs.size === 0 ? '-' : formatBytes(size.stored),
    lastUsed === undefined ? 'never' : formatTime(lastUsed),
    digest,
  ]
}

function describeEntry(entry: Entry) {
  const { repository, tag, profile = 'original', isCurrent, lastUsed } = entry
  const { size, digest, mediaType } = entry
  return {
    name: `${fullName(repository)}:${tag}`,
    profile,
    current: isCurrent,
    digest,
    mediaType,
    size: size.total,
    storedSize: size.stored,
    foldedSize: size.folded,
    lastUsed: lastUsed === undefined ? null : new Date(lastUsed).toISOString(),
  }
}
