/** A host without a network: a network namespace that has loopback alone, and counts what had nowhere to go. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type CommandOptions, type CommandResult, mustRun } from './fixtures-command.ts'

export interface Namespace extends AsyncDisposable {
  /** Put it in front of a program and its arguments to run it there. */
  readonly command: readonly string[]
  /** Runs a program there and throws, with all it said, when it fails. */
  run(program: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>
  /** How often anything there tried to reach an address beyond loopback, by TCP, UDP or else: the kernel found no route. */
  attempts(): Promise<number>
}

/** Needs root and iproute2; goes away with the process. */
export async function openNamespace(): Promise<Namespace> {
  const script = 'ip link set lo up && echo up && exec cat'
  const child = spawn('unshare', ['--net', 'sh', '-c', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [said] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [
    unknown,
  ]
  if (String(said).trim() !== 'up') throw new Error('no network namespace can be made here')
  const command = ['nsenter', '--target', String(child.pid), '--net'] as const
  const [program, ...words] = command
  const run: Namespace['run'] = (what, args, options) =>
    mustRun(program, [...words, what, ...args], options)
  return {
    command,
    run,
    attempts: async () => countRouteless((await run('cat', SOURCES)).stdout),
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
    },
  }
}

const SOURCES = ['/proc/thread-self/net/snmp', '/proc/thread-self/net/snmp6']

/** IPv4 has a line of names and one of numbers (RFC 1213, ipOutNoRoutes); IPv6 a line for each. */
function countRouteless(text: string): number {
  const [names = [], numbers = []] = text
    .split('\n')
    .filter((line) => line.startsWith('Ip:'))
    .map((line) => line.split(' '))
  const v4 = numbers[names.indexOf('OutNoRoutes')]
  const v6 = /^Ip6OutNoRoutes\s+(\d+)$/m.exec(text)?.[1]
  if (v4 === undefined || v6 === undefined) throw new Error('the kernel counts no lost routes')
  return Number(v4) + Number(v6)
}
