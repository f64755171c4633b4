/** The mutator: for a moment over every parser here, for as long as one likes by `npm run test:fuzz`. */
import { describe, expect, it } from 'vitest'
import { fuzz } from '../helpers/fuzz.ts'
import { FUZZ_TARGETS } from '../helpers/fuzz-targets.ts'

const PLANTED = new URL('../helpers/fuzz-targets-planted.ts', import.meta.url)
/** Machines that run everything else at the same time are slow. */
const PATIENCE_MS = 120_000

describe('any input', () => {
  it(
    'is a value or a foreseen error to every parser, and neither holds it up nor fills the memory',
    async () => {
      const names = FUZZ_TARGETS.map(({ name }) => name)

      const reports = await fuzz(names, { most: { ms: 40 }, seed: 1 })

      expect(reports.flatMap((one) => one.findings)).toEqual([])
      expect(reports.map((one) => one.name)).toEqual(names)
      for (const { name, runs, blocks } of reports) {
        expect([name, runs > 1, blocks > 0]).toEqual([name, true, true])
      }
    },
    PATIENCE_MS,
  )
})

describe('the mutator', () => {
  it.each([
    ['throws', /TypeError/, 60_000],
    ['lies', /no letter stands twice/, 60_000],
    ['hangs', /never ends/, 2_000],
    ['eats', /ended the process|too much memory/, 60_000],
  ])(
    'notices a parser that %s, and with which input',
    async (name, problem, hangMs) => {
      const [report] = await fuzz([name], {
        targets: PLANTED,
        most: { ms: 1_000 },
        seed: 1,
        hangMs,
      })

      expect(report?.findings[0]?.problem).toMatch(problem)
      expect(report?.findings[0]?.input).not.toBe('')
    },
    PATIENCE_MS,
  )

  it(
    'keeps the inputs that go new ways, and starts from them',
    async () => {
      const [report] = await fuzz(['grows'], { targets: PLANTED, most: { ms: 2_000 }, seed: 1 })

      expect(report).toMatchObject({ findings: [] })
      expect(report?.kept).toBeGreaterThan(2)
    },
    PATIENCE_MS,
  )

  it(
    'is content with foreseen errors, and goes on behind a parser that fails',
    async () => {
      const budget = { targets: PLANTED, most: { ms: 300 }, seed: 1, hangMs: 1_000 }
      const reports = await fuzz(['hangs', 'refuses', 'throws'], budget)

      expect(reports.map(({ name }) => name)).toEqual(['hangs', 'refuses', 'throws'])
      expect(reports[1]?.findings).toEqual([])
    },
    PATIENCE_MS,
  )
})
