/** The log: events with fields as lines of JSON or of text, whose texts of others are harmless and bounded. */
import { type Logger, pino } from 'pino'
import type { LineSink } from './lines.ts'
import { describeError } from './log-errors.ts'
import { logLine } from './log-text.ts'
import { cut, manyLines } from './printable.ts'

export interface LogConfig {
  readonly level: string
  readonly format: 'auto' | 'json' | 'pretty'
}

/** Characters of a text in a field: nothing that a client or a registry says may fill the log. */
const MAX_TEXT = 1024
/** Entries of a list or an object in a field, and how deep they go. */
const MAX_ENTRIES = 100
const MAX_DEPTH = 4

/** `fields`: in every line. */
export function createLogger(
  config: LogConfig,
  out: LineSink,
  fields: Readonly<Record<string, unknown>> | null = null,
): Logger {
  const shape = config.format === 'pretty' ? logLine : manyLines
  return pino(
    {
      level: config.level,
      base: fields,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: bounded },
      serializers: { err: describeError },
      hooks: {
        logMethod(args, method) {
          const last = args.length - 1
          const text: unknown = args[last]
          if (typeof text === 'string' && text.length > MAX_TEXT) args[last] = cut(text, MAX_TEXT)
          method.apply(this, args)
        },
      },
      redact: ['*.authorization', '*.password', '*.token', 'headers', '*.headers'],
    },
    { write: (line: string) => out.write(shape(line)) },
  )
}

function bounded(fields: Record<string, unknown>): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const name in fields) {
    const value = fields[name]
    // Errors have a form of their own.
    kept[name] = value instanceof Error ? value : boundedValue(value, 1)
  }
  return kept
}

function boundedValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.length > MAX_TEXT ? cut(value, MAX_TEXT) : value
  if (typeof value !== 'object' || value === null) return value
  if (depth === MAX_DEPTH) return CUT_OFF
  if (value instanceof Date) return value
  if (Array.isArray(value)) {
    return value.slice(0, MAX_ENTRIES).map((one) => boundedValue(one, depth + 1))
  }
  const entries = Object.entries(value).slice(0, MAX_ENTRIES)
  return Object.fromEntries(
    entries.map(([name, one]) => [cut(name, MAX_TEXT), boundedValue(one, depth + 1)]),
  )
}

const CUT_OFF = '...'
