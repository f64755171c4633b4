/** `npm run test:soak`: three servers on one store, for SOAK_MINUTES (20); nothing may be wrong or lost. */
import { expect, test } from 'vitest'
import { seedOf } from '../helpers/faults-seed.ts'
import { hasSharedPair } from '../helpers/replicas.ts'
import { sharedSoak } from '../helpers/shared-soak.ts'

const MINUTES = Number(process.env.SOAK_MINUTES ?? 20)
const MOST_RSS = 512 * 1024 ** 2

test.skipIf(!hasSharedPair)(
  `${MINUTES} minutes of three servers on one PostgreSQL and one S3, one trouble after the other`,
  async () => {
    const began = performance.now()
    const report = await sharedSoak({
      seconds: MINUTES * 60,
      pullers: 4,
      seed: seedOf('shared soak'),
      say: (line) => console.info(`${Math.round((performance.now() - began) / 1000)} s: ${line}`),
    })
    console.info(JSON.stringify({ ...report, told: kindsOf(report.told) }, null, 2))

    expect(report.lost).toEqual([])
    expect(report.served).toBeGreaterThan(MINUTES * 10)
    expect(report.deletions).toBeGreaterThan(0)
    expect(report.peakRss).toBeLessThan(MOST_RSS)
  },
  MINUTES * 60_000 + 900_000,
)

/** How many were cut, and how many got which status; 0: no answer. */
function kindsOf(told: readonly string[]): Readonly<Record<string, number>> {
  const kinds = Map.groupBy(told, (text) => /: (cut|\d+)/.exec(text)?.[1] ?? text)
  return Object.fromEntries([...kinds].map(([kind, all]) => [kind, all.length]))
}
