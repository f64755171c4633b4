/** Options of a format as a profile writes them, checked against the format's table and filled in. */
import type { Format, FormatOptions, OptionSpec } from '../format/format.ts'
import { type Problem, suggestion } from './problem.ts'
import { formatSize, parseSize } from './units.ts'

/** Keys of a profile that are no options of its format. */
const COMMON_KEYS: ReadonlySet<string> = new Set(['format', 'platforms', 'onSlow'])

type OptionsOwner = Pick<Format, 'name' | 'options'> & {
  readonly encoding: Pick<Format['encoding'], 'takesPriorities'>
}

/** Options with their defaults; what is wrong is a problem at its key, and the default stands in for it. */
export function readOptions(
  given: Readonly<Record<string, unknown>>,
  format: OptionsOwner,
): { readonly options: FormatOptions; readonly problems: readonly Problem[] } {
  const problems: Problem[] = []
  const options: Record<string, number | string> = {}
  for (const [name, spec] of Object.entries(format.options)) {
    const value = given[name]
    const read = value === undefined ? spec.default : readOption(value, spec)
    if (read === undefined)
      problems.push({ path: [name], text: `${expectation(spec)}, not ${show(value)}` })
    options[name] = read ?? spec.default
  }
  for (const name of Object.keys(given)) {
    if (commonKeys(format).has(name) || Object.hasOwn(format.options, name)) continue
    problems.push({ path: [name], text: `unknown key${allowed(format, name)}` })
  }
  return { options, problems }
}

function readOption(value: unknown, spec: OptionSpec): number | string | undefined {
  if (spec.type === 'choice') {
    return typeof value === 'string' && spec.choices.includes(value) ? value : undefined
  }
  const number = typeof value === 'string' && spec.unit === 'bytes' ? parseSize(value) : value
  const isInRange =
    typeof number === 'number' &&
    Number.isInteger(number) &&
    number >= spec.min &&
    number <= spec.max
  return isInRange ? number : undefined
}

function expectation(spec: OptionSpec): string {
  if (spec.type === 'choice') return `must be one of ${spec.choices.join(', ')}`
  const { min, max } = spec
  if (spec.unit !== 'bytes') return `must be a whole number from ${min} to ${max}`
  return `must be a size such as 4MiB from ${formatSize(min)} to ${formatSize(max)}`
}

function commonKeys({ encoding }: OptionsOwner): ReadonlySet<string> {
  return encoding.takesPriorities ? new Set([...COMMON_KEYS, 'record']) : COMMON_KEYS
}

function allowed(format: OptionsOwner, given: string) {
  const names = [...commonKeys(format), ...Object.keys(format.options)]
  return `${suggestion(given, names) || ';'} a profile of format ${format.name} has ${names.join(', ')}`
}

function show(value: unknown): string {
  if (value === null) return 'nothing'
  if (typeof value === 'object') return Array.isArray(value) ? 'a list' : 'a map'
  return JSON.stringify(typeof value === 'string' ? value.slice(0, 80) : value)
}
