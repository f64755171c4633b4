/** `crossdock config check|show|schema`. */
import { refuseOpenCredentials } from '../config/credentials.ts'
import { configSchema } from '../config/schema.ts'
import { formatConfig, showConfig } from '../config/show.ts'
import { upstreamSettings } from '../config/upstream-files.ts'
import { EXIT } from './output.ts'
import { type CommonOptions, loadFor } from './session.ts'
import type { System } from './system.ts'

/** All that `serve` would refuse, without starting anything. */
export async function checkCommand(options: CommonOptions, system: System): Promise<number> {
  const { config, origin } = await loadFor(options, system)
  refuseOpenCredentials(config)
  await upstreamSettings(config)
  const file = origin.file ?? 'no file; defaults, environment and flags'
  if (options.json) {
    system.output.out(`${JSON.stringify({ sound: true, file: origin.file ?? null }, null, 2)}\n`)
  } else system.output.out(`the configuration is sound (${file})\n`)
  return EXIT.ok
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
