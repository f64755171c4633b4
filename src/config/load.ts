/** Loads the configuration: defaults, then one YAML file, then the environment, then flags; every problem is reported at once. */
import { readFile, stat } from 'node:fs/promises'
import { isAbsolute, join, resolve } from 'node:path'
import { checkReferences } from './checks.ts'
import { MAX_FILE_BYTES, parseYaml, YamlError, type YamlFile } from './document.ts'
import { type Environment, interpolate, settingsFrom } from './environment.ts'
import {
  ConfigError,
  type Path,
  type PlaceOf,
  type Problem,
  problemLine,
  problemsOf,
  valueAt,
} from './problem.ts'
import { CONFIG, type Config, configSchema } from './schema.ts'
import { findNode, type SchemaNode } from './schema-node.ts'

export interface ConfigFlags {
  /** `--listen HOST:PORT`: replaces all listeners. */
  readonly listen?: string | undefined
  /** `--admin HOST:PORT|off`. */
  readonly admin?: string | undefined
  /** `--data DIR`. */
  readonly data?: string | undefined
}

export interface ConfigSources {
  /** `--config`. */
  readonly file?: string | undefined
  readonly env: Environment
  /** Absolute; relative paths of flags, environment and defaults start here. */
  readonly cwd: string
  readonly flags?: ConfigFlags | undefined
  /** The system's file, read when there is no other. */
  readonly systemFile?: string | undefined
  /** `process.arch`: decides which platform is converted by default. */
  readonly arch?: string | undefined
}

export interface LoadedConfig {
  readonly config: Config
  readonly origin: {
    /** The file that was read, if any. */
    readonly file: string | undefined
    readonly of: PlaceOf
  }
}

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  arm: 'arm/v7',
  ppc64: 'ppc64le',
  loong64: 'loong64',
}

/** Throws ConfigError with every problem. */
export async function loadConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const { env, cwd, flags = {} } = sources
  const schema = configSchema()
  const path = await findFile(sources)
  const file = path === undefined ? undefined : await readYaml(path)
  const used = new Set<string>()
  const variables: Problem[] = []
  const fromFile = interpolate(file?.tree ?? {}, schema, { env, used, problems: variables })
  const tree = absolutePaths(fromFile, schema, path === undefined ? cwd : join(path, '..')) as Tree

  const { settings, problems } = settingsFrom(env, schema, used)
  const overrides = [...settings, ...settingsOf(flags)]
  for (const { path: at, value } of overrides) {
    setAt(tree, at, absolutePaths(value, findNode(schema, at) ?? {}, cwd))
  }
  const originOf = (at: Path): string | undefined =>
    overrides.findLast((setting) => setting.path.every((key, index) => key === String(at[index])))
      ?.name ?? file?.locate(at)

  const parsed = CONFIG.safeParse(tree)
  const found = [
    ...variables,
    ...(parsed.success ? [] : problemsOf(parsed.error.issues, schema, tree)),
    ...checkReferences(parsed.success ? parsed.data : soundParts(tree)),
  ]
  const lineOf = (one: Problem) => {
    const isDefault = one.because !== undefined && valueAt(tree, one.path) === undefined
    return problemLine(one, (at) => originOf(isDefault ? (one.because ?? at) : at) ?? '')
  }
  const lines = [...problems, ...found.map(lineOf)]
  if (lines.length > 0 || !parsed.success) throw new ConfigError(lines)
  const { convert, data } = parsed.data
  return {
    config: {
      ...parsed.data,
      data: resolve(cwd, data),
      convert: {
        ...convert,
        defaultPlatforms: convert.defaultPlatforms ?? [hostPlatform(sources.arch ?? process.arch)],
      },
    },
    origin: {
      file: path,
      of: (at) => (valueAt(tree, at) === undefined ? 'default' : (originOf(at) ?? 'default')),
    },
  }
}

/** The platform that containers have on a machine of `arch` (as `process.arch` says it), e.g. `linux/amd64`. */
export function hostPlatform(arch: string): string {
  return `linux/${ARCHITECTURES[arch] ?? arch}`
}

type Tree = Record<PropertyKey, unknown>

async function findFile(sources: ConfigSources): Promise<string | undefined> {
  const { file, env, cwd, systemFile = '/etc/crossdock/crossdock.yaml' } = sources
  const asked = file ?? (env.CROSSDOCK_CONFIG || undefined)
  if (asked !== undefined) return resolve(cwd, asked)
  for (const candidate of [join(cwd, 'crossdock.yaml'), systemFile]) {
    if (await isThere(candidate)) return candidate
  }
  return undefined
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    // A file that is there but may not be looked at must not be passed over in silence.
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT' && error.code !== 'ENOTDIR',
  )
}

async function readYaml(path: string): Promise<YamlFile> {
  try {
    const { size } = await stat(path)
    if (size > MAX_FILE_BYTES) {
      throw new ConfigError([`${path}:1:1: the file is larger than 1 MiB; is it the right one?`])
    }
    return parseYaml(path, await readFile(path, 'utf8'))
  } catch (error) {
    if (error instanceof ConfigError) throw error
    if (error instanceof YamlError) throw new ConfigError(error.problems, error)
    const reason = (error as Error).message
    throw new ConfigError([`${path}: cannot read the configuration file: ${reason}`], error)
  }
}

function settingsOf(flags: ConfigFlags) {
  const settings: { name: string; path: Path; value: unknown }[] = []
  if (flags.listen !== undefined) {
    settings.push({ name: '--listen', path: ['listen'], value: [{ address: flags.listen }] })
  }
  if (flags.admin !== undefined) {
    settings.push({ name: '--admin', path: ['admin'], value: flags.admin })
  }
  if (flags.data !== undefined) {
    settings.push({ name: '--data', path: ['data'], value: flags.data })
  }
  return settings
}

function absolutePaths(value: unknown, schema: SchemaNode, base: string, path: Path = []): unknown {
  if (typeof value === 'string') {
    const { path: kind } = findNode(schema, path) ?? {}
    const isPath = kind === 'dotted' ? /^\.{1,2}\//.test(value) : kind === true && value !== ''
    return isPath && !isAbsolute(value) ? resolve(base, value) : value
  }
  if (Array.isArray(value)) {
    return value.map((item, index) => absolutePaths(item, schema, base, [...path, index]))
  }
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, inner]) => [
    key,
    absolutePaths(inner, schema, base, [...path, key]),
  ])
  return Object.fromEntries(entries)
}

function setAt(tree: Tree, path: Path, value: unknown): void {
  let parent = tree
  for (const key of path.slice(0, -1)) {
    const next = Object.hasOwn(parent, key) ? parent[key] : undefined
    const inner = typeof next === 'object' && next !== null ? (next as Tree) : {}
    parent[key] = inner
    parent = inner
  }
  const last = path.at(-1)
  if (last !== undefined) parent[last] = value
}

/** The sections that are right by themselves, so that what they refer to is checked in the same run. */
function soundParts(tree: Tree): Parameters<typeof checkReferences>[0] {
  const parts = Object.entries(CONFIG.shape).flatMap(([key, section]) => {
    const parsed = section.safeParse(tree[key])
    return parsed.success ? [[key, parsed.data]] : []
  })
  return Object.fromEntries(parts)
}
