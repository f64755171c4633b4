/** Programs run by tests: output kept, a time limit, and never a shell. */
import { spawn } from 'node:child_process'

export interface CommandResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
  readonly seconds: number
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly timeoutMs?: number
  readonly input?: string
}

/** Runs a program to its end, whatever its exit code is. */
export function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { promise, resolve, reject } = Promise.withResolvers<CommandResult>()
  const began = performance.now()
  const child = spawn(program, args, {
    env: { ...process.env, ...options.env },
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? 600_000,
  })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
  child.once('error', reject)
  const finish = (status: number | null) => {
    resolve({
      status,
      stdout: Buffer.concat(out).toString(),
      stderr: Buffer.concat(err).toString(),
      seconds: (performance.now() - began) / 1000,
    })
  }
  child.once('close', finish)
  // A daemon that the program leaves behind may keep the pipes open: `close` would never come.
  child.once('exit', (status) => {
    const timer = setTimeout(finish, 1000, status)
    child.once('close', () => clearTimeout(timer))
  })
  child.stdin?.end(options.input)
  return promise
}

/** Runs a program and throws, with all it said, when it fails. */
export async function mustRun(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const result = await runCommand(program, args, options)
  if (result.status === 0) return result
  const said = `${result.stdout}\n${result.stderr}`.trim().slice(-4000)
  throw new Error(`${program} ${args.join(' ')} ended with ${result.status}: ${said}`)
}
