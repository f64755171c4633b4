import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  describeError,
  formatBytes,
  formatSeconds,
  formatTable,
  formatTime,
  outputTo,
  UsageError,
} from '../../../src/cli/output.ts'
import { CrossdockError } from '../../../src/errors.ts'
import { hostileText, OBEYED } from '../../helpers/hostile-texts.ts'

function terminal(columns = 80) {
  const said = { out: '', err: '' }
  const output = outputTo({
    ...{ isTerminal: true, columns, rows: 24 },
    out: (text) => {
      said.out += text
    },
    err: (text) => {
      said.err += text
    },
  })
  return { output, said }
}

describe('a terminal', () => {
  it('gets nothing to obey of what images, registries and files say', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const { output, said } = terminal()
        output.out(`${text}\n`)
        output.err(formatTable(['NAME', 'PLATFORM'], [[text, text]]))
        output.redraw(0, [text, text])

        expect(`${said.out}${said.err}`.replaceAll('\t', '')).not.toMatch(OBEYED)
        expect(said.err.match(/\n/g)).toHaveLength(4)
      }),
    )
  })

  it('gets JSON that is still the same', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const { output, said } = terminal()
        output.out(`${JSON.stringify({ text }, null, 2)}\n`)

        expect(said.out).not.toMatch(OBEYED)
        expect(JSON.parse(said.out)).toEqual({ text })
      }),
    )
  })

  it('has lines drawn in the place of others, none wider than it is', () => {
    const { output, said } = terminal(20)
    output.redraw(2, ['x'.repeat(30), '\x1b[2J\u202e'.repeat(9)])

    expect(said.err).toBe(`\x1b[2A\x1b[J${'x'.repeat(19)}\n\\u001b[2J\\u202e\\u00\n`)
  })
})

describe('output for people', () => {
  it('writes bytes with three digits at least', () => {
    expect([0, 1023, 1024, 1536, 150 * 1024 ** 2, 2 ** 50].map(formatBytes)).toEqual([
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 KiB',
      '150 MiB',
      '1024 TiB',
    ])
  })

  it('writes seconds, then minutes', () => {
    expect([0.04, 59.94, 250].map(formatSeconds)).toEqual(['0.0 s', '59.9 s', '4 m 10 s'])
  })

  it('says in which time zone a time is', () => {
    expect(formatTime(Date.UTC(2026, 10, 28, 17, 20, 5, 999))).toBe('2026-11-28T17:20:05Z')
  })

  it('aligns numbers to the right and leaves no space at line ends', () => {
    expect(
      formatTable(
        ['NAME', 'SIZE'],
        [
          ['a', '1 B'],
          ['bcdefg', '10 B'],
        ],
      ),
    ).toBe('NAME    SIZE\na        1 B\nbcdefg  10 B\n')
  })

  it('shows a stack only for failures that nobody expected, and only when asked', () => {
    expect(describeError(new Error('x'))).toBe('x')
    expect(describeError(new Error('x'), true)).toContain('output.test.ts')
    expect(describeError(new UsageError('x'), true)).toBe('x')
    expect(describeError(new CrossdockError('denied', 'x'), true)).toBe('x')
    expect(describeError('x')).toBe('x')
  })
})
