/** Parsers with faults of every kind, by which the mutator itself is tried. */
import { CrossdockError } from '../../src/errors.ts'
import { parseChallenges } from '../../src/upstream/challenge.ts'
import { type FuzzTarget, mustHold } from './fuzz-target.ts'

const hoard: unknown[] = []

export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  {
    name: 'refuses',
    seeds: ['a'],
    run() {
      throw new CrossdockError('badManifest', 'no input is good enough; give another')
    },
  },
  {
    name: 'throws',
    seeds: ['{"a":{"b":1}}'],
    run: (input) => (JSON.parse(input.toString()) as { a: { b: number } }).a.b,
    mayThrow: (error) => error instanceof SyntaxError,
  },
  {
    name: 'lies',
    seeds: ['ab'],
    run: (input) => mustHold(!input.includes('aa'), 'no letter stands twice'),
  },
  {
    name: 'hangs',
    seeds: ['1'],
    run(input) {
      while (input.includes('11'));
    },
  },
  {
    name: 'eats',
    seeds: ['1'],
    run(input) {
      while (input.includes('11')) hoard.push(Buffer.alloc(2 ** 24, 1))
    },
  },
  // No fault, but much to find from a poor start.
  { name: 'grows', seeds: ['x'], run: (input) => parseChallenges(input.toString()) },
]
