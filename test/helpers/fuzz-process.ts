/** The process in which parsers are fed: it may hang, or run out of memory, and is then killed. */
import { openSync, writeSync } from 'node:fs'
import { Coverage } from './fuzz-coverage.ts'
import { diceOf, mutate } from './fuzz-mutations.ts'
import { type FuzzTarget, isForeseen } from './fuzz-target.ts'

export type FuzzMost = { readonly ms: number } | { readonly count: number }

export interface FuzzJob {
  /** URL of a module that exports them as `FUZZ_TARGETS`. */
  readonly targets: string
  /** Targets, one after the other. */
  readonly names: readonly string[]
  /** For each: inputs, or a time. */
  readonly most: FuzzMost
  readonly seed: number
  /** File with the input being run, for whoever ends this process: its number and length (32 bits each), its bytes. */
  readonly current: string
}

export interface Finding {
  readonly target: string
  readonly problem: string
  /** base64 */
  readonly input: string
}

export interface FuzzReport {
  readonly name: string
  readonly runs: number
  /** Inputs that went a new way. */
  readonly kept: number
  readonly blocks: number
  readonly slowestMs: number
  readonly findings: readonly Finding[]
}

const DEFAULT_SIZE = 4096
/** Inputs between two looks at the coverage, at least. */
const MIN_BATCH = 16
/** An input that takes longer every time is one too many, ms. */
const SLOW_MS = 1_000
const MAX_FINDINGS = 5
const COLLECTED = 16
/** The part of a number of inputs that is guided by coverage: one in so many. */
const GUIDED = 10
const HEADER_BYTES = 8

const job = JSON.parse(process.argv[2] ?? '') as FuzzJob
let runs = 0

async function fuzz(target: FuzzTarget): Promise<FuzzReport> {
  using coverage = new Coverage()
  await coverage.start()
  const dice = diceOf(job.seed)
  const maxSize = target.maxSize ?? DEFAULT_SIZE
  const words = (target.words ?? []).map((word) => Buffer.from(word, 'latin1'))
  const corpus: Buffer[] = target.seeds.map((seed) => Buffer.from(seed))
  const round = new Round(target)
  for (const seed of corpus) await round.run(seed)
  coverage.add(await coverage.take())
  const start = corpus.length
  const { most } = job
  const end = performance.now() + ('ms' in most ? most.ms : Number.POSITIVE_INFINITY)
  const count = 'count' in most ? most.count : Number.POSITIVE_INFINITY
  const isOver = () => performance.now() >= end || round.runs >= count
  // Counting makes parsers half as fast, and finds nearly all that it does in the beginning.
  const guided = count / GUIDED
  let size = MIN_BATCH
  while (!isOver() && round.findings.length < MAX_FINDINGS) {
    const began = performance.now()
    const batch: Buffer[] = []
    for (let i = 0; i < size && !isOver(); i += 1) {
      // The younger an input, the more is unknown around it.
      const parent = corpus[Math.floor(dice() ** 0.7 * corpus.length)] ?? Buffer.alloc(0)
      const child = mutate(parent, { words, others: corpus, maxSize }, dice)
      const input = target.repair !== undefined && dice() < 0.7 ? target.repair(child) : child
      batch.push(input)
      await round.run(input)
    }
    if (round.runs >= guided) {
      await coverage.stop()
      continue
    }
    const ran = performance.now()
    const isNew = coverage.isNew(await coverage.take())
    // Looking takes tens of milliseconds: most of the time should go to running.
    size = ran - began < 3 * (performance.now() - ran) ? size * 2 : Math.max(MIN_BATCH, size / 2)
    if (isNew) corpus.push(...(await findNew(batch, round, coverage)))
  }
  return {
    name: target.name,
    runs: round.runs,
    kept: corpus.length - start,
    blocks: coverage.size,
    slowestMs: Math.round(round.slowestMs),
    findings: round.findings,
  }
}

/** Those of a batch that go a new way, by halves. */
async function findNew(
  batch: readonly Buffer[],
  round: Round,
  coverage: Coverage,
): Promise<readonly Buffer[]> {
  for (const input of batch) await round.run(input)
  const found = await coverage.take()
  if (!coverage.isNew(found)) return []
  if (batch.length === 1) {
    coverage.add(found)
    return batch
  }
  const half = batch.length >> 1
  const first = await findNew(batch.slice(0, half), round, coverage)
  return [...first, ...(await findNew(batch.slice(half), round, coverage))]
}

class Round {
  readonly #target: FuzzTarget
  readonly #current = openSync(job.current, 'r+')
  readonly #problems = new Set<string>()
  readonly findings: Finding[] = []
  runs = 0
  slowestMs = 0

  constructor(target: FuzzTarget) {
    this.#target = target
  }

  async run(input: Buffer): Promise<void> {
    this.runs += 1
    runs += 1
    // On a busy machine garbage outside the heap would wait for so long that it looked like a leak.
    if (runs % COLLECTED === 0) globalThis.gc?.()
    const head = Buffer.alloc(HEADER_BYTES)
    head.writeUInt32LE(runs, 0)
    head.writeUInt32LE(input.length, 4)
    writeSync(this.#current, Buffer.concat([head, input]), 0, HEADER_BYTES + input.length, 0)
    const ms = await this.#once(input)
    if (
      ms > SLOW_MS &&
      (await this.#once(input)) > SLOW_MS &&
      (await this.#once(input)) > SLOW_MS
    ) {
      this.#note(input, 'takes seconds', `takes ${Math.round(ms)} ms`)
    }
  }

  async #once(input: Buffer): Promise<number> {
    const began = performance.now()
    try {
      // A parser may keep or change what it gets.
      await this.#target.run(Buffer.from(input))
    } catch (error) {
      if (!isForeseen(error, this.#target)) this.#note(input, placeOf(error), describe(error))
    }
    const ms = performance.now() - began
    this.slowestMs = Math.max(this.slowestMs, ms)
    return ms
  }

  /** One example of each problem is enough. */
  #note(input: Buffer, place: string, problem: string): void {
    if (this.#problems.has(place)) return
    this.#problems.add(place)
    this.findings.push({ target: this.#target.name, problem, input: input.toString('base64') })
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** Where it was thrown. */
function placeOf(error: unknown): string {
  const line = error instanceof Error ? /\n\s+at .*/.exec(error.stack ?? '')?.[0] : undefined
  return `${error instanceof Error ? error.name : ''}${line ?? String(error)}`
}

// Last, when the class above is there.
const { FUZZ_TARGETS } = (await import(job.targets)) as {
  readonly FUZZ_TARGETS: readonly FuzzTarget[]
}
for (const name of job.names) {
  const target = FUZZ_TARGETS.find((one) => one.name === name)
  if (target === undefined) throw new Error(`no target ${name}`)
  process.send?.(await fuzz(target))
}
process.disconnect?.()
