/** What the parts of a configuration must have in common: names that exist, options that fit, keys that go together. */
import { isAbsolute } from 'node:path'
import { FORMATS } from '../format/formats.ts'
import { parseReference } from '../oci/reference.ts'
import { checkDoors } from './door-checks.ts'
import { readOptions } from './options.ts'
import { type Path, type Problem, suggestion } from './problem.ts'
import { BUILT_INS } from './profiles.ts'
import type { ParsedConfig } from './schema.ts'

/** Sections that are right by themselves; what could not be read is left out and not checked. */
export type ConfigParts = Partial<ParsedConfig>

/** One registry under three names. */
export const DOCKER_HUB: ReadonlySet<string> = new Set([
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
])

export function checkReferences(parts: ConfigParts): Problem[] {
  return [
    ...checkProfiles(parts),
    ...checkProfileNames(parts),
    ...checkRecords(parts),
    ...checkAttached(parts),
    ...checkDoors(parts),
    ...checkUpstreams(parts),
    ...checkDefaultUpstream(parts),
    ...checkWaits(parts),
    ...checkAuth(parts),
    ...checkStore(parts),
    ...checkWorkers(parts),
  ]
}

function checkProfiles({ profiles = {} }: ConfigParts): Problem[] {
  return Object.entries(profiles).flatMap(([name, profile]): Problem[] => {
    const path = ['profiles', name]
    const format = FORMATS.find((one) => one.name === profile.format)
    if (format === undefined) {
      const names = FORMATS.map((one) => one.name)
      const text = `must be one of ${names.join(', ')}${suggestion(profile.format, names)}`
      return [{ path: [...path, 'format'], text }]
    }
    const { problems } = readOptions(profile, format)
    return [...checkShadow(name, profile.format), ...problems.map(below(path))]
  })
}

/** A built-in profile may get other options, but its name goes on meaning its format. */
function checkShadow(name: string, format: string): Problem[] {
  const builtIn = BUILT_INS.find((one) => one.name === name || one.aliases.includes(name))
  if (builtIn === undefined) return []
  if (builtIn.name === name && builtIn.format?.name === format) return []
  const meaning =
    builtIn.format === undefined
      ? 'always means the source untouched'
      : `is the built-in profile ${builtIn.name} of format ${builtIn.format.name}`
  return [{ path: ['profiles', name], text: `the name ${name} ${meaning}; choose another name` }]
}

function checkProfileNames(parts: ConfigParts): Problem[] {
  if (parts.profiles === undefined) return []
  const builtIn = BUILT_INS.flatMap((one) => [one.name, ...one.aliases])
  const names = [...new Set([...builtIn, ...Object.keys(parts.profiles)])]
  const check = (name: string | undefined, path: Path): Problem[] => {
    if (name === undefined || names.includes(name)) return []
    return [
      { path, text: `no such profile; there are ${names.join(', ')}${suggestion(name, names)}` },
    ]
  }
  return [
    ...(parts.listen ?? []).flatMap((one, index) =>
      check(one.profile, ['listen', index, 'profile']),
    ),
    ...(parts.rules ?? []).flatMap((one, index) => [
      ...check(one.profile, ['rules', index, 'profile']),
      ...(one.attach ?? []).flatMap((name, i) => check(name, ['rules', index, 'attach', i])),
    ]),
    ...(parts.auth?.policy ?? []).flatMap(({ profiles = [] }, index) =>
      profiles.flatMap((name, i) => check(name, ['auth', 'policy', index, 'profiles', i])),
    ),
  ]
}

/** Where lists are looked for; whether they are there is seen when they are needed. */
function checkRecords({ profiles = {}, rules = [] }: ConfigParts): Problem[] {
  const lists = [
    ...Object.entries(profiles).map(([name, { record }]) => ({ path: ['profiles', name], record })),
    ...rules.map(({ record }, index) => ({ path: ['rules', index], record })),
  ]
  const wrong = lists.flatMap(({ path, record }): Problem[] => {
    if (record === undefined || isAbsolute(record) || isReference(record)) return []
    return [{ path: [...path, 'record'], text: RECORD_HINT }]
  })
  const idle = rules.flatMap(({ profile, record, attach }, index): Problem[] => {
    if (profile !== undefined || record !== undefined || attach !== undefined) return []
    return [{ path: ['rules', index], text: 'needs profile, record or attach beside match' }]
  })
  return [...wrong, ...idle]
}

/** Names that do not exist are somebody else's problem. */
function checkAttached({ profiles = {}, rules = [] }: ConfigParts): Problem[] {
  const formatOf = (name: string) =>
    BUILT_INS.find((one) => one.name === name || one.aliases.includes(name)) ?? {
      format: FORMATS.find((one) => one.name === profiles[name]?.format),
    }
  const able = FORMATS.filter((one) => one.asReferrer !== undefined).map(({ name }) => name)
  return rules.flatMap(({ attach = [] }, index) =>
    attach.flatMap((name, i): Problem[] => {
      const { format } = formatOf(name)
      const isKnown = format !== undefined || name === 'original'
      if (!isKnown || format?.asReferrer !== undefined) return []
      const text = `cannot stand by as a referrer; profiles of ${able.join(', ')} can`
      return [{ path: ['rules', index, 'attach', i], text }]
    }),
  )
}

const RECORD_HINT = 'must be a file that starts with ./ or /, or an image reference'

function isReference(text: string): boolean {
  try {
    parseReference(text)
    return true
  } catch {
    return false
  }
}

function checkUpstreams({ upstreams = {} }: ConfigParts): Problem[] {
  const owners = new Map<string, string>()
  return Object.entries(upstreams).flatMap(([name, upstream]): Problem[] => {
    const path = ['upstreams', name]
    const problems: Problem[] = []
    const owner = owners.get(canonical(name))
    if (owner !== undefined) {
      problems.push({ path, text: `is the same registry as ${owner}; keep one of the two` })
    }
    owners.set(canonical(name), name)
    if (upstream.password !== undefined && upstream.passwordFile !== undefined) {
      problems.push({
        path: [...path, 'passwordFile'],
        text: 'password is set too; keep one of the two',
      })
    }
    const hasPassword = upstream.password !== undefined || upstream.passwordFile !== undefined
    if (upstream.username !== undefined && !hasPassword) {
      problems.push({
        path: [...path, 'username'],
        text: 'needs password or passwordFile beside it',
      })
    }
    if (upstream.username === undefined && hasPassword) {
      const key = upstream.password === undefined ? 'passwordFile' : 'password'
      problems.push({ path: [...path, key], text: 'needs username beside it' })
    }
    if ((upstream.cert === undefined) !== (upstream.key === undefined)) {
      const [there, missing] = upstream.key === undefined ? ['cert', 'key'] : ['key', 'cert']
      problems.push({ path: [...path, there], text: `needs ${missing} beside it` })
    }
    return problems
  })
}

function checkDefaultUpstream(parts: ConfigParts): Problem[] {
  const { defaultUpstream, upstreams, allowAnyUpstream = false } = parts
  if (defaultUpstream === undefined || upstreams === undefined) return []
  const names = Object.keys(upstreams)
  if (names.some((name) => canonical(name) === canonical(defaultUpstream))) return []
  if (allowAnyUpstream && /[.:]/.test(defaultUpstream)) return []
  const what = `${JSON.stringify(defaultUpstream)} is not under upstreams`
  const text =
    names.length === 0
      ? `${what}, which names none; name one there and set this to it`
      : `${what}; set this to one that is there: ${names.join(', ')}${suggestion(defaultUpstream, names)}`
  return [{ path: ['defaultUpstream'], text, because: ['upstreams'] }]
}

function checkWaits({ convert }: ConfigParts): Problem[] {
  if (convert === undefined || convert.headerWait <= convert.waitBudget) return []
  return [{ path: ['convert', 'headerWait'], text: 'must not be longer than convert.waitBudget' }]
}

function checkAuth({ auth, listen }: ConfigParts): Problem[] {
  if (auth === undefined) return []
  const problems: Problem[] = []
  const complain = (path: Path, text: string) => problems.push({ path: ['auth', ...path], text })
  if (auth.mode === 'htpasswd' && auth.htpasswd === undefined) {
    complain(['htpasswd'], 'missing; name the file that "htpasswd -B -c FILE USER" makes')
  }
  if (auth.mode === 'none' && auth.policy.length > 0) {
    complain(['policy'], 'needs to know who asks; set auth.mode to htpasswd or mtls')
  }
  const withoutCa = listen?.findIndex(({ tls }) => tls?.clientCa === undefined) ?? -1
  if (auth.mode === 'mtls' && withoutCa >= 0) {
    complain(['mode'], `mtls needs tls.clientCa on every listener; listen[${withoutCa}] has none`)
  }
  return problems
}

function checkStore({ store }: ConfigParts): Problem[] {
  if (store === undefined || store.blobs.kind === 's3') return []
  const problems: Problem[] = []
  if (store.redirect) {
    const text =
      'sends clients to S3, but store.blobs lies on disk; leave it out, or set store.blobs'
    problems.push({ path: ['store', 'redirect'], text })
  }
  if (store.catalog.kind !== 'postgres') return problems
  const text =
    'is for several servers, but store.blobs lies on the disk of one; let blobs lie on S3 (s3://...), or keep the catalog in sqlite'
  return [...problems, { path: ['store', 'catalog'], text }]
}

function checkWorkers({ store, workers = 1 }: ConfigParts): Problem[] {
  if (workers === 'auto' || workers === 1 || store?.blobs.kind !== 's3') return []
  const text =
    'share one disk, but store.blobs lies on S3, where each process keeps a cache and a spool of its own; start several servers, each with a data folder of its own and a catalog on PostgreSQL, or set 1'
  return [{ path: ['workers'], text }]
}

function canonical(name: string): string {
  return DOCKER_HUB.has(name) ? 'docker.io' : name
}

function below(path: Path) {
  return (problem: Problem): Problem => ({ ...problem, path: [...path, ...problem.path] })
}
