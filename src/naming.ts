/** Pure: which repository and profile a request means (design: "Which image a request means"). */
import type { Profile, Profiles } from './config/profiles.ts'
import { CrossdockError } from './errors.ts'
import { compileGlob, type Glob } from './lib/glob.ts'
import { parseName } from './oci/reference.ts'
import type { Repository } from './oci/repository.ts'
import type { Upstreams } from './ports/upstream.ts'

export interface Names {
  readonly upstreams: Upstreams
  readonly offline: boolean
}

/** Upstream by `ns`, else by the name's first component, else the default. Throws `nameUnknown`, `nameInvalid`. */
export function locate(name: string, ns: string | undefined, names: Names): Repository {
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  const rest = slash < 0 ? name : name.slice(slash + 1)
  const named = isHostLike(first) || findUpstream(first, names) ? first : undefined
  if (ns !== undefined) {
    const upstream = getUpstream(ns, names)
    const isRepeated = named !== undefined && findUpstream(named, names) === upstream
    return repositoryOf(upstream, isRepeated ? rest : name)
  }
  if (named !== undefined) return repositoryOf(getUpstream(named, names), rest)
  return repositoryOf(names.upstreams.default.name, name)
}

/** Docker Hub's official images live under `library/`. */
function repositoryOf(upstream: string, name: string): Repository {
  const isOfficial = upstream === 'docker.io' && !name.includes('/')
  return { upstream, name: parseName(isOfficial ? `library/${name}` : name) }
}

export function isHostLike(text: string): boolean {
  return text === 'localhost' || /[.:]/.test(text)
}

function findUpstream(host: string, names: Names): string | undefined {
  // Beyond ASCII, lower case makes host names of what is none, and a header cannot say it back.
  if (!/^[\x21-\x7e]+$/.test(host)) return undefined
  const known = names.upstreams.find(host.toLowerCase())?.name
  // Offline, whatever an import brought counts as configured; the catalog knows what that is.
  return known ?? (names.offline && isHostLike(host) ? host.toLowerCase() : undefined)
}

function getUpstream(host: string, names: Names): string {
  const upstream = findUpstream(host, names)
  if (upstream !== undefined) return upstream
  throw new CrossdockError(
    'nameUnknown',
    `upstream ${JSON.stringify(host.slice(0, 255))} is not configured; add it under "upstreams" or use one of ${names.upstreams.names.join(', ')}`,
    { reason: 'unknown-upstream' },
  )
}

export interface Rule {
  /** Glob over `upstream/repository`. */
  readonly match: string
  readonly profile?: string | undefined
  /** Profiles that stand by for originals, to be found among their referrers. */
  readonly attach?: readonly string[] | undefined
  /** Where the priority list for what matches is: a file or a reference. */
  readonly record?: string | undefined
}

export interface Levers {
  readonly path?: string | undefined
  readonly header?: string | undefined
  readonly listener?: string | undefined
}

/** Path, header, listener, rule: the first that says something. Throws `requestInvalid` for an unknown header. */
export function chooseProfile(
  levers: Levers,
  repository: Repository,
  rules: readonly CompiledRule[],
  profiles: Profiles,
): Profile | undefined {
  if (levers.path !== undefined) return profiles.find(levers.path)
  if (levers.header !== undefined) {
    const profile = profiles.find(levers.header.trim())
    if (profile !== undefined) return profile
    throw new CrossdockError(
      'requestInvalid',
      `header Crossdock-Profile names ${JSON.stringify(levers.header.slice(0, 80))}, which does not exist; profiles here: ${profiles.names.join(', ')}`,
      { reason: 'unknown-profile' },
    )
  }
  if (levers.listener !== undefined) return profiles.find(levers.listener)
  const name = ruleFor(repository, rules, 'profile')
  return name === undefined ? undefined : profiles.find(name)
}

/** The priority list of the first rule that has one for the repository, else the profile's. */
export function chooseRecord(
  repository: Repository,
  rules: readonly CompiledRule[],
  profile: Profile,
): string | undefined {
  return ruleFor(repository, rules, 'record') ?? profile.record
}

/** The profiles that stand by for originals of the repository. */
export function chooseAttached(
  repository: Repository,
  rules: readonly CompiledRule[],
  profiles: Profiles,
): readonly Profile[] {
  const names = ruleFor(repository, rules, 'attach') ?? []
  const found = names.map((name) => profiles.find(name)).filter((one) => one !== undefined)
  return [...new Set(found)]
}

/** What the first rule says that matches and says it. */
function ruleFor<K extends 'profile' | 'attach' | 'record'>(
  { upstream, name }: Repository,
  rules: readonly CompiledRule[],
  key: K,
): CompiledRule[K] {
  const full = `${upstream}/${name}`
  return rules.find((one) => one[key] !== undefined && one.pattern.test(full))?.[key]
}

export interface CompiledRule extends Omit<Rule, 'match'> {
  readonly pattern: Glob
}

/** `*` stays within a component, `**` crosses them. */
export function compileRules(rules: readonly Rule[]): readonly CompiledRule[] {
  return rules.map(({ match, ...rest }) => ({ ...rest, pattern: compileGlob(match) }))
}
