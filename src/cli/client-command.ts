/** `crossdock config client`: prints the set-up of one client for this server, or writes its files. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { formatAddress, parseAddress } from '../config/address.ts'
import { type Profile, profilesOf } from '../config/profiles.ts'
import type { Config } from '../config/schema.ts'
import { formatsOf, stepsOf } from '../setup/clients.ts'
import { formatSteps, note, setupOf, type Step } from '../setup/setup.ts'
import { EXIT, UsageError } from './output.ts'
import type { System } from './system.ts'

export interface ClientOptions {
  readonly profile?: string
  readonly address?: string
  readonly ca?: string
  readonly output?: string
  readonly force?: boolean
}

type FileStep = Extract<Step, { kind: 'file' }>

const DEFAULT_PROFILE = 'zstd'
/** Authorities are small; more is the wrong file. */
const MAX_CA_BYTES = 1024 * 1024

export async function clientCommand(
  client: string,
  config: Config,
  options: ClientOptions,
  system: System,
): Promise<number> {
  const profile = profileFor(client, config, options.profile)
  const [listener] = config.listen
  const named = options.address
  const address = named === undefined ? await addressOf(listener, system) : parseOwnAddress(named)
  const scheme = listener?.tls === undefined ? 'http' : 'https'
  const ca = options.ca === undefined ? undefined : await readAuthority(options.ca, system)
  const steps = [
    ...(named === undefined ? [note(...assumption(address, listener))] : []),
    ...stepsOf(client, setupOf(config, { address, scheme }, profile, ca)),
  ]
  if (options.output === undefined) {
    system.output.out(formatSteps(steps))
    return EXIT.ok
  }
  const folder = resolve(system.cwd, options.output)
  const written = await writeFiles(steps, folder, options.force === true)
  const rest = steps.filter(({ kind }) => kind !== 'file')
  system.output.out(`${written.map((path) => `${path}\n`).join('')}\n${formatSteps(rest)}`)
  return EXIT.ok
}

/** Throws UsageError for one that is not there, or that the client can make nothing of. */
function profileFor(client: string, config: Config, asked: string | undefined): Profile {
  const profiles = profilesOf(config)
  const formats = formatsOf(client)
  const name = asked ?? formats?.[0] ?? DEFAULT_PROFILE
  const profile = profiles.find(name)
  if (profile === undefined) {
    throw new UsageError(
      `--profile: no such profile ${JSON.stringify(name)}; there are ${profiles.names.join(', ')}`,
    )
  }
  if (formats === undefined || formats.includes(profile.format?.name ?? '')) return profile
  const fitting = profiles.all.filter(({ format }) => formats.includes(format?.name ?? ''))
  throw new UsageError(
    `--profile: ${client} makes nothing of ${name}; there are ${fitting.map((one) => one.name).join(', ')}`,
  )
}

/** A name of this machine that leads to it, else an address of it: nobody else need know its name. */
async function addressOf(
  listener: Config['listen'][number] | undefined,
  { hostname, network }: System,
): Promise<string> {
  const { host, port } = listener ?? { host: '0.0.0.0', port: 5000 }
  if (host !== '0.0.0.0' && host !== '::') return formatAddress({ host, port })
  const isReached = hostname.includes('.') && (await network.leadsHere(hostname))
  const [own = 'localhost'] = network.addresses()
  return formatAddress({ host: isReached ? hostname : own, port })
}

function assumption(address: string, listener: Config['listen'][number] | undefined): string[] {
  const isOwn = listener?.host === '0.0.0.0' || listener?.host === '::'
  const what = isOwn ? 'is how this machine is reached, as far as it knows' : 'is where it listens'
  return [`${address} ${what}; --address HOST:PORT names another.`]
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

async function readAuthority(path: string, { cwd }: System): Promise<string> {
  const text = await readFile(resolve(cwd, path), 'utf8').catch((error: Error) => {
    throw new UsageError(`--ca: cannot read the file: ${error.message}`)
  })
  const isPem = text.length <= MAX_CA_BYTES && text.includes('-----BEGIN CERTIFICATE-----')
  if (isPem) return text.endsWith('\n') ? text : `${text}\n`
  throw new UsageError(`--ca: ${path} holds no certificate; name the PEM file of the authority`)
}

/** All or none: a file that says something else already stays, and is named. Resolves with the paths. */
async function writeFiles(steps: readonly Step[], folder: string, isForced: boolean) {
  const files = steps
    .filter((step): step is FileStep => step.kind === 'file')
    .map(({ path, text }) => ({ path: join(folder, path), text }))
  const others: string[] = []
  for (const { path, text } of files) {
    const there = await readFile(path, 'utf8').catch(() => undefined)
    if (there !== undefined && there !== text) others.push(path)
  }
  if (others.length > 0 && !isForced) {
    throw new UsageError(
      `nothing was written, for there is something else in ${others.join(', ')}; merge what is printed without --output, or take --force`,
    )
  }
  for (const { path, text } of files) {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
  }
  return files.map(({ path }) => path)
}
