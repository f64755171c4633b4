/** Profiles: a format with options under a name that a suffix, path, header, listener or rule can say. */
import type { Format, FormatOptions } from '../format/format.ts'
import { FORMATS } from '../format/formats.ts'
import type { Platform } from '../oci/manifest.ts'
import { parsePlatform } from '../oci/platform.ts'
import { readOptions } from './options.ts'
import type { Config, ProfileConfig } from './schema.ts'

export interface Profile {
  readonly name: string
  /** What else may be said instead of the name. */
  readonly aliases: readonly string[]
  /** `undefined`: `original`, the source untouched. */
  readonly format: Format | undefined
  /** Every option of the format, filled in. */
  readonly options: FormatOptions
  readonly platforms: 'auto' | 'all' | readonly Platform[]
  /** Where its priority list is: an absolute path or an image reference. */
  readonly record: string | undefined
  readonly onSlow: 'wait' | 'original'
}

export interface Profiles {
  /** By name or alias. */
  find(name: string): Profile | undefined
  readonly all: readonly Profile[]
  /** Without aliases; built-in ones first. */
  readonly names: readonly string[]
  /** Names and aliases, all of which may follow a tag and a hyphen. */
  readonly suffixes: readonly string[]
}

export interface BuiltIn {
  readonly name: string
  readonly aliases: readonly string[]
  readonly format: Format | undefined
  /** Options that differ from the format's defaults. */
  readonly options: FormatOptions
}

/** Built-in profiles beyond the one that each format has. */
const VARIANTS = [{ name: 'zstd-max', format: 'zstd', options: { level: 19 } }] as const

/** One for each format under its own name, the variants, and `original`. */
export const BUILT_INS: readonly BuiltIn[] = [
  { name: 'original', aliases: [], format: undefined, options: {} },
  ...FORMATS.flatMap((format) => [
    { name: format.name, aliases: aliasesOf(format), format, options: {} },
    ...VARIANTS.filter((variant) => variant.format === format.name).map(({ name, options }) => ({
      name,
      aliases: [],
      format,
      options,
    })),
  ]),
]

/** The built-in profiles and those of a configuration that passed its checks. */
export function profilesOf(config: Pick<Config, 'profiles' | 'convert'>): Profiles {
  const all = new Map<string, Profile>()
  for (const builtIn of BUILT_INS) {
    const given = config.profiles[builtIn.name] ?? { platforms: 'auto' }
    all.set(builtIn.name, createProfile(builtIn, given, config.convert.onSlow))
  }
  for (const [name, given] of Object.entries(config.profiles)) {
    const format = FORMATS.find((one) => one.name === given.format)
    if (all.has(name) || format === undefined) continue
    all.set(
      name,
      createProfile({ name, aliases: [], format, options: {} }, given, config.convert.onSlow),
    )
  }
  const byName = new Map(
    [...all.values()].flatMap((one) => [one.name, ...one.aliases].map((name) => [name, one])),
  )
  return {
    find: (name) => byName.get(name),
    all: [...all.values()],
    names: [...all.keys()],
    suffixes: [...byName.keys()],
  }
}

function createProfile(
  base: BuiltIn,
  given: Partial<ProfileConfig>,
  onSlow: Profile['onSlow'],
): Profile {
  const { name, aliases, format } = base
  const { platforms = 'auto' } = given
  return {
    name,
    aliases,
    format,
    options: format ? readOptions({ ...base.options, ...given }, format).options : {},
    platforms: typeof platforms === 'string' ? platforms : platforms.map(parsePlatform),
    record: given.record,
    onSlow: given.onSlow ?? onSlow,
  }
}

function aliasesOf(format: Format): string[] {
  return format.suffixes
    .map((suffix) => suffix.replace(/^-/, ''))
    .filter((suffix) => suffix !== format.name)
}
