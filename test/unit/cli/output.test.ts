import { describe, expect, it } from 'vitest'
import {
  describeError,
  formatBytes,
  formatSeconds,
  formatTable,
  UsageError,
} from '../../../src/cli/output.ts'
import { CrossdockError } from '../../../src/errors.ts'

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
