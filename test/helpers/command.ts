/** Runs the command line in this process, with streams, folders and signals of its own. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { outputTo } from '../../src/cli/output.ts'
import { run } from '../../src/cli/program.ts'
import type { System } from '../../src/cli/system.ts'
import { isSharedPair, storeVariables } from './pair.ts'

export interface CommandResult {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface RunningCommand {
  readonly done: Promise<CommandResult>
  /** Resolves with what matched on stdout. */
  said(pattern: RegExp): Promise<string>
  /** The same of stderr. */
  logged(pattern: RegExp): Promise<string>
  signal(): void
  /** As SIGHUP. */
  reload(): void
}

/** A folder with a configuration for one upstream, and commands that run in it. */
export class Workplace implements AsyncDisposable {
  readonly folder: string
  /** There is one process, however many processors there are. */
  readonly env: Record<string, string> = { CROSSDOCK_WORKERS: '1' }
  stdin = ''
  isTerminal = false
  /** Whether others know this machine by its name. */
  isNamed = true

  private constructor(folder: string) {
    this.folder = folder
  }

  static async create(): Promise<Workplace> {
    return new Workplace(await mkdtemp(join(tmpdir(), 'crossdock-command-')))
  }

  async write(name: string, text: string): Promise<string> {
    const path = join(this.folder, name)
    await writeFile(path, text)
    return path
  }

  run(...args: readonly string[]): Promise<CommandResult> {
    return this.start(...args).done
  }

  start(...args: readonly string[]): RunningCommand {
    const text = { out: '', err: '' }
    const listeners = new Set<() => void>()
    const tell = () => {
      for (const listener of listeners) listener()
    }
    let reload = () => {}
    const signals = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let signalled = 0
    const system: System = {
      env: this.env,
      cwd: this.folder,
      home: this.folder,
      hostname: 'proxy.example',
      network: { addresses: () => ['192.0.2.7'], leadsHere: async () => this.isNamed },
      output: outputTo({
        isTerminal: this.isTerminal,
        columns: 100,
        rows: 30,
        out: (more) => {
          text.out += more
          tell()
        },
        err: (more) => {
          text.err += more
          tell()
        },
      }),
      log: {
        write: (line) => {
          text.err += line
          tell()
        },
      },
      isLogTerminal: false,
      processes: { supervisor: undefined, fork: noFork },
      stdin: async function* (this: Workplace) {
        yield Buffer.from(this.stdin)
      }.bind(this),
      needsNoSignals: () => undefined,
      signals: () => ({
        first: signals[0]?.promise ?? Promise.resolve(),
        second: signals[1]?.promise ?? Promise.resolve(),
        onReload: (listener) => {
          reload = listener
        },
        abandon: () => undefined,
      }),
    }
    const done = runOnPair(args, system, this).then((code) => ({ code, ...text }))
    const find = (stream: 'out' | 'err', pattern: RegExp) =>
      new Promise<string>((resolve, reject) => {
        const look = () => {
          const found = pattern.exec(text[stream])
          if (found) resolve(found[1] ?? found[0])
        }
        listeners.add(look)
        look()
        done.then(
          () => reject(new Error(`the command ended without saying ${pattern}: ${text.err}`)),
          reject,
        )
      })
    return {
      done,
      said: (pattern) => find('out', pattern),
      logged: (pattern) => find('err', pattern),
      reload: () => reload(),
      signal: () => {
        signals[signalled]?.resolve()
        signalled += 1
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A conversion that nobody waits for may still write there.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

async function runOnPair(
  args: readonly string[],
  system: System,
  { env, folder }: Workplace,
): Promise<number> {
  if (!isSharedPair) return await run(args, system)
  const store = await storeVariables(args, { env, cwd: folder })
  return await run(args, { ...system, env: { ...env, ...store } })
}

/** Workers are processes of their own, which a command in this one has none of. */
export function noFork(): never {
  throw new Error('there are no workers here')
}
