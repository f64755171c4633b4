/** `crossdock config check|show|schema`. */
import { readFile } from 'node:fs/promises'
import { readAccessRules, readAdminRules } from '../access/rules.ts'
import { refuseOpenCredentials } from '../config/credentials.ts'
import { checkListenerFiles } from '../config/listener-files.ts'
import { ConfigError, type PlaceOf, problemLine } from '../config/problem.ts'
import type { Config } from '../config/schema.ts'
import { configSchema } from '../config/schema.ts'
import { formatConfig, showConfig } from '../config/show.ts'
import { upstreamSettings } from '../config/upstream-files.ts'
import { isRecordPath, readRecord } from '../priorities/record-files.ts'
import { streamOf } from '../lib/streams.ts'
import { EXIT } from './output.ts'
import { type CommonOptions, loadFor } from './session.ts'
import type { System } from './system.ts'

/** All that `serve` would refuse, and lists of priorities that are not there, without starting anything. */
export async function checkCommand(options: CommonOptions, system: System): Promise<number> {
  const { config, origin } = await loadFor(options, system)
  await together(
    async () => refuseOpenCredentials(config, origin.of),
    () => checkListenerFiles(config, origin.of),
    () => upstreamSettings(config, origin.of),
    () => readAccessRules(config, async () => false, origin.of),
    () => readAdminRules(config, async () => false, origin.of),
    () => checkRecordFiles(config, origin.of),
  )
  const file = origin.file ?? 'no file; defaults, environment and flags'
  if (options.json) {
    system.output.out(`${JSON.stringify({ sound: true, file: origin.file ?? null }, null, 2)}\n`)
  } else system.output.out(`the configuration is sound (${file})${unasked(config)}\n`)
  return EXIT.ok
}

/** What is only found out by who starts. */
function unasked({ store }: Config): string {
  const others = [
    ...(store.catalog.kind === 'postgres' ? ['PostgreSQL'] : []),
    ...(store.blobs.kind === 's3' ? ['S3'] : []),
  ]
  if (others.length === 0) return ''
  const does = others.length === 1 ? 'answers' : 'answer'
  return `; whether ${others.join(' and ')} ${does} is not looked at here: that is found at the start`
}

/** Throws one ConfigError with the problems of all. */
async function together(...checks: readonly (() => Promise<unknown>)[]): Promise<void> {
  const problems: string[] = []
  for (const check of checks) {
    try {
      await check()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(...error.problems)
    }
  }
  if (problems.length > 0) throw new ConfigError(problems)
}

/** A running server goes on without a list that it cannot read, and says so with each pull. */
async function checkRecordFiles({ profiles, rules }: Config, placeOf: PlaceOf): Promise<void> {
  const named = [
    ...Object.entries(profiles).map(([name, one]) => [['profiles', name], one.record] as const),
    ...rules.map((rule, i) => [['rules', i], rule.record] as const),
  ]
  const problems: string[] = []
  for (const [path, file] of named) {
    if (file === undefined || !isRecordPath(file)) continue
    try {
      await readRecord(streamOf(await readFile(file)), file)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      problems.push(problemLine({ path: [...path, 'record'], text: why }, placeOf))
    }
  }
  if (problems.length > 0) throw new ConfigError(problems)
}

export async function showCommand(options: CommonOptions, system: System): Promise<number> {
  const loaded = await loadFor(options, system)
  const text = options.json
    ? `${JSON.stringify(showConfig(loaded), null, 2)}\n`
    : formatConfig(loaded)
  system.output.out(text)
  return EXIT.ok
}

export function schemaCommand(system: System): number {
  system.output.out(`${JSON.stringify(configSchema(), null, 2)}\n`)
  return EXIT.ok
}
