/**
 * `npm run test:fuzz`: every parser for `FUZZ_SECONDS` (60 each), or those whose names are arguments. Prints what it found as an
 * input in base64, and ends with 1. `FUZZ_SEED` throws the same dice again; `FUZZ_COUNT` is so many inputs each in place of a time.
 */
import { fuzz } from '../helpers/fuzz.ts'
import type { FuzzReport } from '../helpers/fuzz-process.ts'
import { FUZZ_TARGETS } from '../helpers/fuzz-targets.ts'

const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 32)
const count = Number(process.env.FUZZ_COUNT ?? 0)
const ms = Number(process.env.FUZZ_SECONDS ?? 60) * 1000
const asked = process.argv.slice(2)
const names = FUZZ_TARGETS.map(({ name }) => name).filter(
  (name) => asked.length === 0 || asked.includes(name),
)

console.log(
  `FUZZ_SEED=${seed}, ${count > 0 ? `${count} inputs` : `${ms / 1000} s`} for each of ${names.length} parsers`,
)
const reports = await fuzz(names, { most: count > 0 ? { count } : { ms }, seed, reported })
const findings = reports.flatMap((one) => one.findings)
const runs = reports.reduce((sum, one) => sum + one.runs, 0)
console.log(`${runs} inputs, ${findings.length} findings`)
process.exitCode = findings.length === 0 ? 0 : 1

function reported({ name, runs, kept, blocks, slowestMs, findings }: FuzzReport): void {
  const cells = [
    name.padEnd(20),
    `${String(runs).padStart(8)} inputs`,
    `${String(kept).padStart(5)} kept`,
    `${String(blocks).padStart(5)} blocks`,
    `slowest ${slowestMs} ms`,
  ]
  console.log(cells.join('  '))
  for (const { problem, input } of findings) console.log(`  ${problem}\n  input: ${input}`)
}
