/** Options that many commands have, and how those are read that may be given more than once. */
import type { Command } from 'commander'

export function common(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file')
    .option('--data <dir>', 'data folder')
}

export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...value.split(',').filter(Boolean)]
}

export function gather(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}
