/** `crossdock config client`: prints the set-up of one client for this server. */
import { formatAddress, parseAddress } from '../config/address.ts'
import { profilesOf } from '../config/profiles.ts'
import type { Config } from '../config/schema.ts'
import { type ClientName, formatSetup, setupOf } from '../setup/clients.ts'
import { EXIT, UsageError } from './output.ts'
import type { System } from './system.ts'

export interface ClientOptions {
  readonly profile: string
  readonly address?: string
}

export function clientCommand(
  client: ClientName,
  config: Config,
  options: ClientOptions,
  system: System,
): number {
  const profiles = profilesOf(config)
  const profile = profiles.find(options.profile)
  if (profile === undefined) {
    throw new UsageError(
      `--profile: no such profile ${JSON.stringify(options.profile)}; there are ${profiles.names.join(', ')}`,
    )
  }
  const [listener] = config.listen
  const address =
    options.address === undefined
      ? addressOf(listener, system.hostname)
      : parseOwnAddress(options.address)
  const scheme = listener?.tls === undefined ? 'http' : 'https'
  system.output.out(formatSetup(client, setupOf(config, { address, scheme }, profile.name)))
  return EXIT.ok
}

function addressOf(listener: Config['listen'][number] | undefined, hostname: string): string {
  const { host, port } = listener ?? { host: '0.0.0.0', port: 5000 }
  const isWildcard = host === '0.0.0.0' || host === '::'
  return formatAddress({ host: isWildcard ? hostname : host, port })
}

/** Without a port it is the scheme's own; a bare word would be taken for a repository by every client. */
function parseOwnAddress(text: string): string {
  const isHost = /[.]/.test(text) || text === 'localhost'
  const address = parseAddress(text) ?? (isHost ? parseAddress(`${text}:443`) : undefined)
  if (address !== undefined && address.port > 0 && !text.startsWith(':')) return text
  throw new UsageError(
    `--address: must be an address that clients reach, such as proxy.example:5000 or [::1]:5000, not ${JSON.stringify(text.slice(0, 80))}`,
  )
}
