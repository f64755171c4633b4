/** `crossdock list`: what is in the store. */
import type { App } from '../app.ts'
import { type Entry, Inventory } from '../convert/inventory.ts'
import { compileGlob } from '../lib/glob.ts'
import { EXIT, formatBytes, formatTable } from './output.ts'
import { type CommonOptions, openSession } from './session.ts'
import type { System } from './system.ts'

export async function listCommand(
  glob: string | undefined,
  options: CommonOptions,
  system: System,
): Promise<number> {
  await using app = await openSession(options, system)
  const entries: Entry[] = []
  for await (const entry of new Inventory(app).list(filterFor(glob, app))) entries.push(entry)
  if (options.json) system.output.out(`${JSON.stringify(entries.map(describeEntry), null, 2)}\n`)
  else if (entries.length === 0) system.output.err('nothing in the store matches\n')
  else system.output.out(formatTable(HEAD, entries.map(formatEntry)))
  return EXIT.ok
}

const HEAD = ['NAME', 'PROFILE', 'SIZE', 'STORED', 'LAST USED', 'DIGEST'] as const

/** A pattern without a host means the default upstream as well, one without a tag every tag. */
function filterFor(glob: string | undefined, app: App): (name: string) => boolean {
  if (glob === undefined) return () => true
  const whole = /:[^/]*$/.test(glob) ? glob : `${glob}:*`
  const hub = app.upstreams.default.name
  const candidates = [whole, `${hub}/${whole}`, `${hub}/library/${whole}`].map(compileGlob)
  return (name) => candidates.some((pattern) => pattern.test(name))
}

function formatEntry(entry: Entry): string[] {
  const { repository, tag, profile, size, lastUsed, digest } = entry
  return [
    `${repository.upstream}/${repository.name}:${tag}`,
    profile ?? 'original',
    formatBytes(size.total),
    formatBytes(size.stored),
    lastUsed === undefined ? 'never' : new Date(lastUsed).toISOString().slice(0, 19),
    digest,
  ]
}

function describeEntry(entry: Entry) {
  const { repository, tag, profile = 'original', lastUsed, size, digest, mediaType } = entry
  return {
    name: `${repository.upstream}/${repository.name}:${tag}`,
    profile,
    digest,
    mediaType,
    size: size.total,
    storedSize: size.stored,
    lastUsed: lastUsed === undefined ? null : new Date(lastUsed).toISOString(),
  }
}
