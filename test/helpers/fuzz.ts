/** Feeds parsers for a time in a process of their own, which is killed when one of them hangs or fills the memory. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FuzzJob, FuzzMost, FuzzReport } from './fuzz-process.ts'

export interface FuzzBudget {
  /** For each target: inputs, or a time. */
  readonly most: FuzzMost
  readonly seed: number
  readonly reported?: (report: FuzzReport) => void
  /** Of the module with the targets; by default that of all parsers. */
  readonly targets?: URL
  /** No input may take so long. */
  readonly hangMs?: number
}

const TARGETS = new URL('./fuzz-targets.ts', import.meta.url)
const PROCESS = fileURLToPath(new URL('./fuzz-process.ts', import.meta.url))
const HANG_MS = 20_000
const LOOK_MS = 250
/** V8's, and of the whole process: buffers lie outside the heap. */
const MAX_HEAP_MIB = 256
const MAX_RSS_PAGES = (768 * 1024 ** 2) / 4096

/** One report for each target, in order. */
export async function fuzz(names: readonly string[], budget: FuzzBudget): Promise<FuzzReport[]> {
  const folder = mkdtempSync(join(tmpdir(), 'crossdock-fuzz-'))
  const current = join(folder, 'input')
  try {
    const reports: FuzzReport[] = []
    while (reports.length < names.length) {
      writeFileSync(current, new Uint8Array(8))
      reports.push(...(await fuzzInProcess(names.slice(reports.length), budget, current)))
    }
    return reports
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** As far as one process lasts: the last report may be of the input that ended it. */
async function fuzzInProcess(
  names: readonly string[],
  { most, seed, reported, targets = TARGETS, hangMs = HANG_MS }: FuzzBudget,
  current: string,
): Promise<FuzzReport[]> {
  const job: FuzzJob = { targets: targets.href, names, most, seed, current }
  const child = fork(PROCESS, [JSON.stringify(job)], {
    execArgv: ['--expose-gc', `--max-old-space-size=${MAX_HEAP_MIB}`],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const reports: FuzzReport[] = []
  const add = (report: FuzzReport) => {
    reports.push(report)
    reported?.(report)
  }
  child.on('message', (report: FuzzReport) => add(report))
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000)
  })
  let problem: string | undefined
  const watch = setInterval(() => {
    problem ??= look()
    if (problem !== undefined) child.kill('SIGKILL')
  }, LOOK_MS)
  const look = watchman(child, current, hangMs)
  await once(child, 'close')
  clearInterval(watch)
  if (reports.length === names.length) return reports
  // Before its first input it is not the parser that fails.
  if (readCurrent(current).runs === 0) throw new Error(`the mutator did not start: ${said}`)
  add(failed(names[reports.length] ?? '', current, problem ?? `ended the process: ${said}`))
  return reports
}

/** Says what is wrong when the same input runs for too long, or memory is out of bounds. */
function watchman(child: ChildProcess, current: string, hangMs: number) {
  let run = 0
  let since = performance.now()
  return (): string | undefined => {
    if (rssPagesOf(child) > MAX_RSS_PAGES) return 'takes too much memory'
    const { runs } = readCurrent(current)
    if (runs !== run) {
      run = runs
      since = performance.now()
    }
    return run > 0 && performance.now() - since > hangMs ? 'never ends' : undefined
  }
}

/** 0 where the system does not say. */
function rssPagesOf({ pid }: ChildProcess): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])
  } catch {
    return 0
  }
}

function readCurrent(current: string): { readonly runs: number; readonly input: Buffer } {
  const bytes = readFileSync(current)
  return { runs: bytes.readUInt32LE(0), input: bytes.subarray(8, 8 + bytes.readUInt32LE(4)) }
}

function failed(target: string, current: string, problem: string): FuzzReport {
  const { runs, input } = readCurrent(current)
  const finding = { target, problem, input: input.toString('base64') }
  return { name: target, runs, kept: 0, blocks: 0, slowestMs: 0, findings: [finding] }
}
