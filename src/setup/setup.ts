/** What every set-up is made of: where the server is, what it has, and steps that a person or `--output` carries out. */
import { DOCKER_HUB } from '../config/checks.ts'
import type { Profile } from '../config/profiles.ts'
import type { Config } from '../config/schema.ts'
import { parseLocation } from '../oci/location.ts'

/** Where clients reach this server. */
export interface Reach {
  /** `proxy.example:5000` */
  readonly address: string
  readonly scheme: 'http' | 'https'
}

export interface UpstreamHost {
  /** `docker.io`, `10.0.0.7:5000` */
  readonly name: string
  /** URL where its images come from without this server. */
  readonly server: string
  /** What this server calls it. */
  readonly upstream: string
}

export interface Setup extends Reach {
  readonly profile: string
  /** True when the profile gives what Docker before 23 cannot read. */
  readonly isZstd: boolean
  /** Upstreams that clients know by a host name. */
  readonly hosts: readonly UpstreamHost[]
  /** Names of upstreams that lie below a path of a host, where their images have other names. */
  readonly belowPath: readonly string[]
  readonly defaultUpstream: string
  /** What to pull by the names of this server, without the profile's suffix; the first one lies in the default upstream. */
  readonly examples: readonly [string, ...string[]]
  /** How clients say who they are. */
  readonly login: Config['auth']['mode']
  /** PEM of the authority that vouches for the server, where it is none that everybody knows. */
  readonly ca: string | undefined
}

/** A step of a set-up: something to know, a file, or commands. */
export type Step =
  | { readonly kind: 'note'; readonly lines: readonly string[] }
  | {
      readonly kind: 'file'
      /** On the client's machine, absolute. */
      readonly path: string
      readonly text: string
    }
  | { readonly kind: 'run'; readonly lines: readonly string[] }

export function note(...lines: readonly string[]): Step {
  return { kind: 'note', lines }
}

export function file(path: string, text: string): Step {
  return { kind: 'file', path, text }
}

export function run(...lines: readonly string[]): Step {
  return { kind: 'run', lines }
}

export function setupOf(
  config: Pick<Config, 'upstreams' | 'defaultUpstream' | 'auth'>,
  reach: Reach,
  profile: Pick<Profile, 'name' | 'format'>,
  ca?: string,
): Setup {
  const hosts = hostsOf(config)
  const known = new Set(hosts.map(({ upstream }) => upstream))
  return {
    ...reach,
    profile: profile.name,
    isZstd: profile.format?.compression === 'zstd',
    // Of several upstreams at one host the last one is known by it.
    hosts: [...new Map(hosts.map((one) => [one.name, one])).values()],
    belowPath: Object.keys(config.upstreams).filter(
      (name) => !known.has(name) && !DOCKER_HUB.has(name),
    ),
    defaultUpstream: DOCKER_HUB.has(config.defaultUpstream) ? 'docker.io' : config.defaultUpstream,
    examples: examplesOf(config),
    login: config.auth.mode,
    ca,
  }
}

/** As it is printed: notes are comments, files stand below their paths. */
export function formatSteps(steps: readonly Step[]): string {
  return steps.map(formatStep).join('\n')
}

function formatStep(step: Step): string {
  if (step.kind === 'file') return `# ${step.path}\n${step.text}`
  const lines = step.kind === 'note' ? step.lines.map((line) => `# ${line}`) : step.lines
  return lines.map((line) => `${line.trimEnd()}\n`).join('')
}

/**
 * By the host that images are named by: an upstream that is only a name of ours is known by its URL's. One below a path is not:
 * there it has other names.
 */
function hostsOf({ upstreams }: Pick<Config, 'upstreams'>): Setup['hosts'] {
  return Object.entries(upstreams).flatMap(([upstream, { url }]) => {
    if (DOCKER_HUB.has(upstream)) {
      return [{ name: 'docker.io', server: 'https://registry-1.docker.io', upstream: 'docker.io' }]
    }
    const location = url === undefined ? undefined : parseLocation(url)
    const isWhole = location?.base === '' && location.namespace === ''
    const origin = isWhole ? location.origin : undefined
    if (/[.:]/.test(upstream)) {
      return [{ name: upstream, server: origin?.origin ?? `https://${upstream}`, upstream }]
    }
    return origin === undefined ? [] : [{ name: origin.host, server: origin.origin, upstream }]
  })
}

/** No client takes a port within a name: such an upstream can only be the default one. */
function examplesOf({
  upstreams,
  defaultUpstream,
}: Pick<Config, 'upstreams' | 'defaultUpstream'>): Setup['examples'] {
  const others = Object.keys(upstreams).filter(
    (name) => name !== defaultUpstream && !name.includes(':'),
  )
  // Of hosts one shows how it is done; a name of our own nobody can guess.
  const [host] = others.filter((name) => name.includes('.'))
  const own = others.filter((name) => !name.includes('.'))
  const images = [...own, ...(host === undefined ? [] : [host])].map((name) =>
    DOCKER_HUB.has(name) ? 'docker.io/library/alpine:3' : `${name}/REPOSITORY:TAG`,
  )
  const first = DOCKER_HUB.has(defaultUpstream) ? 'alpine:3' : 'REPOSITORY:TAG'
  return [first, ...images]
}

/** For upstreams of which none has a host's name that images could keep. */
export function byNameAlone({ address, profile, examples }: Setup): Step {
  return note(
    "No upstream here is a host, so that images are pulled by this server's names alone:",
    ...examples.map((image) => `  ${address}/${image}-${profile}`),
  )
}

/** Why upstreams below a path are in no `files`, and how their images are pulled. */
export function belowPathNotes(setup: Setup, files: string): Step[] {
  const { address, profile, belowPath, defaultUpstream, examples } = setup
  if (belowPath.length === 0) return []
  const pulls = belowPath.map((name) => {
    const image = name === defaultUpstream ? examples[0] : `${name}/REPOSITORY:TAG`
    return `  ${address}/${image}-${profile}`
  })
  return [
    note(
      `Upstreams below a path of their host are in no ${files}, since their images have other names there; by this server's:`,
      ...pulls,
    ),
  ]
}

/** True for an address that clients on the same machine use, which all of them take plain HTTP from. */
export function isLocal({ address }: Reach): boolean {
  return /^(?:localhost|127\.[0-9.]+|\[::1\])(?::\d+)?$/.test(address)
}
