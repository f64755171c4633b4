import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { describeError } from '../../../src/cli/output.ts'
import { CrossdockError } from '../../../src/errors.ts'
import { createTelemetry } from '../../../src/lib/telemetry.ts'

const CONTROLS = /[\p{Cc}\u2028\u2029]/u
const texts = fc.string({
  unit: fc.constantFrom(
    'a',
    '\u00fc',
    '\x1b',
    '\x07',
    '\x7f',
    '\x9b',
    '\u2028',
    '\u2029',
    '\r',
    '\n',
  ),
})

describe('what a terminal gets', () => {
  it('is no command to it in an error', () => {
    const error = new CrossdockError('upstreamFailed', 'it said: \x1b[2J\x9b31m\x07denied\n\tnow\r')

    expect(describeError(error)).toBe('it said: [2J31mdenied\n\tnow')
  })

  it('is one line for each event of the log, whatever clients send', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const lines: string[] = []
        const log = { level: 'info', format: 'pretty' } as const
        const telemetry = createTelemetry(log, { write: (line) => lines.push(line) })
        telemetry.log.info({ userAgent: text }, text)

        expect(lines).toHaveLength(1)
        expect(lines[0]?.slice(0, -1)).not.toMatch(CONTROLS)
        expect(lines[0]).toMatch(/\n$/)
      }),
      { numRuns: 30 },
    )
  })
})
