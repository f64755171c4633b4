/** What a server says when it answers: an event for programs, and for people what to type next. */
import { exampleImage } from '../admin/example-image.ts'
import type { App } from '../app.ts'
import { isLoopback } from '../config/address.ts'
import { formatHost, type Listener } from '../http/server.ts'
import { CLIENTS } from '../setup/clients.ts'
import { addressOf } from '../store/postgres/driver.ts'
import { nameOf } from '../store/s3/place.ts'
import type { Start } from '../workers/words.ts'
import { readVersion } from './version.ts'

/** Fields of the log's line. `peers`: where other servers are told to follow downloads, `HOST:PORT`. */
export function startFacts(
  app: Pick<App, 'config'>,
  listeners: readonly Listener[],
  file: string | undefined,
  peers: string | undefined,
): Start['facts'] {
  const { doors, admin } = sorted(app, listeners)
  const { catalog, blobs } = app.config.store
  return {
    version: readVersion(),
    addresses: doors.map(({ url }) => url),
    admin: admin?.url,
    data: app.config.data,
    catalog: catalog.kind === 'sqlite' ? 'sqlite' : `postgres://${addressOf(catalog.url)}`,
    blobs: blobs.kind === 'disk' ? 'disk' : nameOf(blobs),
    // Workers of one machine have doors of their own, which nobody sets up.
    peers: app.config.replicas.listen && peers,
    config: file,
  }
}

export function tellStart(log: App['telemetry']['log'], facts: Start['facts']): void {
  log.info({ event: 'started', ...facts }, 'crossdock serves')
}

/** What to type next, for this very address. */
export async function greeting(app: App, listeners: readonly Listener[]): Promise<string> {
  const { doors, admin } = sorted(app, listeners)
  const [door] = doors
  if (door === undefined) throw new Error('a server has at least one listener')
  const address = `${hostFor(door.config.host)}:${door.port}`
  const image = await pullName(app)
  const lines = [
    `crossdock serves on ${doors.map((one) => one.url).join(', ')}`,
    ...(admin ? [adminLine(admin, app)] : []),
    `data folder: ${app.config.data}`,
    '',
    'Try it:',
    `  docker pull ${address}/${image}`,
    '',
    `More ways for every client: crossdock config client ${CLIENTS.join('|')}`,
    '',
  ]
  return `${lines.join('\n')}\n`
}

/** The dashboard is shown to those on this machine, or to whom the configuration names. */
function adminLine({ url, config }: Listener, { adminAccess }: App): string {
  const isOpen = adminAccess !== undefined || isLoopback(config.host)
  return isOpen
    ? `dashboard and metrics: ${url}/ and ${url}/metrics`
    : `metrics: ${url}/metrics (for the dashboard, set adminUsers)`
}

/** A host that works in a pull command on this machine; Docker takes no IPv6 addresses there. */
export function hostFor(host: string): string {
  if (host === '0.0.0.0' || host === '127.0.0.1') return '127.0.0.1'
  return host === '::' || isLoopback(host) ? 'localhost' : formatHost(host)
}

/** What follows the address: an image, or where none is known what its name looks like. */
async function pullName(app: App): Promise<string> {
  const image = await exampleImage(app)
  if (image !== undefined) return `${image}-zstd`
  return `REPOSITORY:TAG-zstd   # any image of the upstream ${app.upstreams.default.name}`
}

function sorted({ config }: Pick<App, 'config'>, listeners: readonly Listener[]) {
  const admin = config.admin === undefined ? undefined : listeners.at(-1)
  return { admin, doors: listeners.filter((one) => one !== admin) }
}
