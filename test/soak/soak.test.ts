/** `npm run test:soak`: SOAK_MINUTES (20) of everything at once; nothing may be wrong, lost, left over or growing. */
import { expect, test } from 'vitest'
import { seedOf } from '../helpers/faults-seed.ts'
import { soak } from '../helpers/soak.ts'

const MINUTES = Number(process.env.SOAK_MINUTES ?? 20)
const CLIENTS = 50
/** What a process may grow by after its first fifth, which warms it up, bytes. */
const GROWTH_BYTES = 64 * 1024 ** 2
const MOST_RSS = 512 * 1024 ** 2

test(
  `${MINUTES} minutes of ${CLIENTS} clients with everything that can go wrong`,
  async () => {
    const began = performance.now()
    const report = await soak({
      seed: seedOf('soak'),
      seconds: MINUTES * 60,
      clients: CLIENTS,
      say: (line) => console.info(`${Math.round((performance.now() - began) / 1000)} s: ${line}`),
    })
    console.info(JSON.stringify(report, null, 2))

    expect(report.violations).toEqual([])
    expect(report.counts['images pulled']).toBeGreaterThan(MINUTES * 50)
    const [before, after] = report.descriptors
    expect(after).toBeLessThanOrEqual(before + 5)
    const [, second = 0, , , last = 0] = report.rss
    expect(last - second).toBeLessThan(GROWTH_BYTES)
    expect(report.peakRss).toBeLessThan(MOST_RSS)
  },
  MINUTES * 60_000 + 900_000,
)
