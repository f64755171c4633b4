/** Which command a line means: common options may stand before it, and a mistyped one is no argument of the default. */
import type { Command } from 'commander'
import { suggestion } from '../config/problem.ts'
import { UsageError } from './output.ts'

/** One that every command takes; with its value, or before it. */
const COMMON_OPTION = /^--(?:config|data)(=.*)?$/s

/** `--config FILE list` is `list --config FILE`; what has no command stays, and goes to the default one. */
export function withCommandFirst(args: readonly string[]): readonly string[] {
  let count = 0
  for (let arg = args[0]; arg !== undefined; arg = args[count]) {
    const option = COMMON_OPTION.exec(arg)
    if (option === null) break
    count += option[1] === undefined ? 2 : 1
  }
  const first = args[count]
  if (count === 0 || first === undefined || first.startsWith('-')) return args
  const end = args.includes('--') ? args.indexOf('--') : args.length
  return [...args.slice(count, end), ...args.slice(0, count), ...args.slice(end)]
}

/** Those that open the store by themselves, whoever serves it. */
const ON_THE_STORE: ReadonlySet<string> = new Set([
  ...['list', 'inspect', 'export', 'import', 'copy', 'record'],
])

/** Whoever has just staged by way of a server will try the same with these. */
export function refuseServer(args: readonly string[]): void {
  const [first = ''] = args
  const end = args.includes('--') ? args.indexOf('--') : args.length
  const names = args.slice(0, end).some((arg) => /^--server(?:=|$)/.test(arg))
  if (!names || !ON_THE_STORE.has(first)) return
  throw new UsageError(
    `${first} takes no --server: it opens the store itself, also beside a server; name its folder with --data, or its configuration with --config`,
  )
}

/** Without this the default command would get a mistyped one as its argument. */
export function refuseUnknownCommand(args: readonly string[], program: Command): void {
  const [first] = args
  if (first === undefined || first.startsWith('-')) return
  const names = [...program.commands.map((command) => command.name()), 'help']
  if (names.includes(first)) return
  throw new UsageError(
    `unknown command ${JSON.stringify(first.slice(0, 80))}${suggestion(first, names)}; there are ${names.join(', ')}`,
  )
}
