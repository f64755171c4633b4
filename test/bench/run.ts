/**
 * The comparison of design section 8, side by side in one run: npm run bench -- [--all] [--only NAME] [--runs N] [--markdown]
 * Needs what test/setup.sh --peers installs. Exit code 1 when something that was measured is not met.
 */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { findMissing } from '../helpers/fixtures.ts'
import { setup } from '../helpers/fixtures-setup.ts'
import { bundles } from './bundling.ts'
import { lazyFormats, recompression } from './encoding.ts'
import { gain } from './gain.ts'
import { oneCopy } from './one-copy.ts'
import { pieces } from './pieces.ts'
import { costs } from './costs.ts'
import { coldConversion, coldPull, eventLoop, singleFlight } from './pulling.ts'
import { ranges } from './ranges.ts'
import { restoring } from './restoring.ts'
import { type AnyRow, formatRows, isMet, type Section } from './row.ts'
import { largeCatalog, largeLayer } from './scale.ts'
import { warm } from './serving.ts'
import { shared } from './shared.ts'
import { workers } from './workers.ts'

const SECTIONS: readonly Section[] = [
  recompression,
  coldConversion,
  coldPull,
  eventLoop,
  warm,
  ranges,
  lazyFormats,
  pieces,
  singleFlight,
  largeLayer,
  largeCatalog,
  bundles,
  oneCopy,
  gain,
  restoring,
  shared,
  costs,
  workers,
]

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    runs: { type: 'string', default: '3' },
    markdown: { type: 'boolean', default: false },
  },
})
const missing = findMissing(['registry', 'oracles', 'peers'])
if (missing === undefined) {
  process.exitCode = await main()
} else {
  console.error(`cannot compare: ${missing} is not there; run test/setup.sh --peers`)
  process.exitCode = 2
}

async function main(): Promise<number> {
  const end = await setup()
  const rows: AnyRow[] = []
  try {
    for (const section of SECTIONS.filter(isWanted)) {
      console.error(`measuring ${section.name}`)
      const measured = await section.measure(Number(values.runs))
      // At once, too: whoever ends a long run early keeps what it had.
      console.error(formatRows(measured, false))
      rows.push(...measured)
    }
  } finally {
    await end()
  }
  const [cpu] = cpus()
  console.log(`${cpus().length} x ${cpu?.model.trim()}, Node ${process.version}, ${process.arch}`)
  console.log(`\n${formatRows(rows, values.markdown)}\n`)
  console.log(`${rows.filter(isMet).length} of ${rows.length} met`)
  return rows.every(isMet) ? 0 : 1
}

function isWanted(section: Section): boolean {
  if (values.only !== undefined) return values.only.includes(section.name)
  return values.all || !section.isLong
}
