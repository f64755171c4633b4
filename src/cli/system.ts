/** What commands get from the machine: streams, environment, folders, signals. */
import { homedir, hostname } from 'node:os'
import { type LineSink, Lines } from '../lib/lines.ts'
import type { Output } from './output.ts'
import type { Signals } from './serve.ts'

export interface System {
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  readonly home: string
  readonly hostname: string
  readonly output: Output
  readonly log: LineSink
  /** True when a person reads the log. */
  readonly isLogTerminal: boolean
  /** All of standard input. */
  stdin(): AsyncIterable<Uint8Array>
  /** From this call on, neither SIGTERM and SIGINT nor a reader of standard output who leaves end the process by themselves. */
  signals(): Signals
}

const DEFAULT_COLUMNS = 80
const DEFAULT_ROWS = 24

export function systemSurroundings(from: NodeJS.Process): System {
  let signals: Signals | undefined
  // A reader that left (`crossdock list | head`) is no failure; who serves goes on.
  from.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (signals !== undefined) return
    if (error.code === 'EPIPE') from.exit(0)
    throw error
  })
  // There is nowhere left to say it; the log counts what it loses.
  from.stderr.on('error', () => undefined)
  return {
    env: from.env,
    cwd: from.cwd(),
    home: homedir(),
    hostname: hostname(),
    output: {
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
    },
    log: new Lines(from.stderr),
    isLogTerminal: from.stderr.isTTY === true,
    stdin: () => from.stdin,
    signals: () => {
      signals ??= watchSignals(from)
      return signals
    },
  }
}

function watchSignals(from: NodeJS.Process): Signals {
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
  return {
    first: first.promise,
    second: second.promise,
    onReload: (listener) => void from.on('SIGHUP', listener),
  }
}
