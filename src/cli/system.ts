/** What commands get from the machine: streams, environment, folders, signals. */
import { lookup } from 'node:dns/promises'
import { homedir, hostname, networkInterfaces } from 'node:os'
import type { EarlySignals } from './early-signals.ts'
import { type LineSink, Lines } from '../lib/lines.ts'
import { spansHandedOver } from '../lib/spans.ts'
import { within } from '../lib/within.ts'
import { oneLine } from '../lib/printable.ts'
import { describeError, EXIT, type Output, outputTo } from './output.ts'
import { type Processes, processesOf } from './processes.ts'
import type { Signals } from './shutdown.ts'

export interface System {
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  readonly home: string
  readonly hostname: string
  readonly output: Output
  readonly log: LineSink
  /** True when a person reads the log. */
  readonly isLogTerminal: boolean
  /** How others may reach this machine. */
  readonly network: Network
  /** All of standard input. */
  stdin(): AsyncIterable<Uint8Array>
  /** From this call on, neither SIGTERM and SIGINT nor a reader of standard output who leaves end the process by themselves. */
  signals(): Signals
  /** SIGTERM and SIGINT end the process by themselves, also those that came while it was loaded; without effect after `signals`. */
  needsNoSignals(): void
  /** Of those that serve together. */
  readonly processes: Processes
}

export interface Network {
  /** Of interfaces that lead out, those of IPv4 first. */
  addresses(): readonly string[]
  /** True when the name resolves to one of those. */
  leadsHere(name: string): Promise<boolean>
}

/** The system of a process, which somebody has to end. */
export interface ProcessSystem extends System {
  /** Ends the process with this code when the readers of its streams have taken what was written: pipes are filled behind. */
  end(code: number): Promise<void>
}

const DEFAULT_COLUMNS = 80
const DEFAULT_ROWS = 24

/** How long whoever collects spans is waited for, ms; nobody does unless tracing was asked for. */
const SPANS_END_MS = 1_000

/** How long a server that has to be gone in time waits for readers at its end, ms. */
const SERVER_END_MS = 200

/** `early`: what came before, which counts for who asks for signals. */
export function systemSurroundings(from: NodeJS.Process, early?: EarlySignals): ProcessSystem {
  let signals: Signals | undefined
  let isEnding = false
  let isAbandoned = false
  // A reader that left (`crossdock list | head`) is no failure; who serves goes on.
  from.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (signals !== undefined) return
    if (error.code !== 'EPIPE') {
      const why = oneLine(describeError(error))
      from.stderr.write(`crossdock: cannot write to standard output: ${why}\n`)
      from.exit(EXIT.failed)
    }
    if (!isEnding) from.exit(EXIT.ok)
  })
  // There is nowhere left to say it; the log counts what it loses.
  from.stderr.on('error', () => undefined)
  return {
    env: from.env,
    cwd: from.cwd(),
    home: homedir(),
    hostname: hostname(),
    output: outputTo({
      isTerminal: from.stderr.isTTY === true,
      get columns() {
        // A terminal that nobody told its size says 0.
        return from.stderr.columns || DEFAULT_COLUMNS
      },
      get rows() {
        return from.stderr.rows || DEFAULT_ROWS
      },
      out: (text) => void from.stdout.write(text),
      err: (text) => void from.stderr.write(text),
    }),
    log: new Lines(from.stderr),
    isLogTerminal: from.stderr.isTTY === true,
    network: { addresses: ownAddresses, leadsHere },
    stdin: () => from.stdin,
    processes: processesOf(from),
    signals: () => {
      signals ??= watchSignals(from, early, () => {
        isAbandoned = true
      })
      return signals
    },
    needsNoSignals: () => {
      if (signals === undefined) early?.letGo()
    },
    end: async (code) => {
      isEnding = true
      await within(spansHandedOver(), SPANS_END_MS)
      const taken = Promise.all([takenFrom(from.stdout), takenFrom(from.stderr)])
      await (signals === undefined ? taken : within(taken, SERVER_END_MS))
      if (isAbandoned) leave(from, code)
      from.exit(code)
    },
  }
}

function ownAddresses(): readonly string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    .toSorted((a, b) => a.family.localeCompare(b.family))
    .map(({ address }) => address)
}

async function leadsHere(name: string): Promise<boolean> {
  const own = new Set(ownAddresses())
  const found = await lookup(name, { all: true }).catch(() => [])
  return found.some(({ address }) => own.has(address))
}

/** Resolves when all that was written is taken, or never will be. */
async function takenFrom(stream: NodeJS.WriteStream): Promise<void> {
  await new Promise<void>((resolve) => stream.write('', () => resolve()))
}

/**
 * Node's own end waits for all that runs or is queued in libuv's threads: many seconds of compression at a high level, or a disk
 * that hangs. Another program in this process's place does not.
 */
function leave(from: NodeJS.Process, code: number): void {
  try {
    from.execve?.(from.execPath, [from.execPath, '-e', `process.exit(${code})`], {})
  } catch {
    // Not on every system.
  }
}

function watchSignals(
  from: NodeJS.Process,
  early: EarlySignals | undefined,
  abandon: () => void,
): Signals {
  const first = Promise.withResolvers<void>()
  const second = Promise.withResolvers<void>()
  let count = 0
  const seen = () => {
    count += 1
    if (count === 1) first.resolve()
    else second.resolve()
  }
  from.on('SIGTERM', seen)
  from.on('SIGINT', seen)
  for (const _ of early?.take() ?? []) seen()
  return {
    first: first.promise,
    second: second.promise,
    onReload: (listener) => void from.on('SIGHUP', listener),
    abandon,
  }
}
