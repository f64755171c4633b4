#!/usr/bin/env node
/** The process's entry: the right Node, threads and memory for zlib and zstd, then the command line. */
import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { EarlySignals } from './cli/early-signals.ts'

const OLDEST_NODE = 24

const [major] = process.versions.node.split('.')
if (Number(major) < OLDEST_NODE) {
  process.stderr.write(
    `crossdock: needs Node ${OLDEST_NODE} or newer, this is ${process.version}; bin/crossdock finds the one that npm brings\n`,
  )
  process.exit(2)
}
// Compression runs in libuv's pool, which reads this when its first task comes; two are left over for files and names.
process.env.UV_THREADPOOL_SIZE ??= String(availableParallelism() + 2)
// Else V8 marks its whole heap whenever 32 MiB of buffers have passed, dozens of times in one image: a sixth of a conversion's
// processor time, and pauses for whoever is served meanwhile.
setFlagsFromString('--external-memory-accounted-in-global-limit')
// Loading takes half a second and more on a busy machine; a server that is ended meanwhile is to end in order.
const early = new EarlySignals(process)
// Not before the check above: an older Node cannot even parse what comes.
const { run } = await import('./cli/program.ts')
const { systemSurroundings } = await import('./cli/system.ts')
const system = systemSurroundings(process, early)
// Conversions that nobody waits for any more must not keep the process; what they wrote so far is swept at the next start.
await system.end(await run(process.argv.slice(2), system))
