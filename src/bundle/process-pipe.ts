/** Bytes through a program of the system: what goes into its stdin comes out of its stdout. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { CrossdockError } from '../errors.ts'
import type { ByteStream } from '../lib/streams.ts'

/** What is kept of a program's complaints, characters. */
const MAX_COMPLAINT = 2_000

export interface Program {
  readonly command: string
  readonly args: readonly string[]
  /** What to say when the program is not installed. */
  readonly missing: string
}

/** Throws what `bytes` throws, `refused` when the program is missing, `badManifest` when it fails. `signal` ends it at once. */
export async function* pipeThrough(
  program: Program,
  bytes: ByteStream,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted()
  // In a group of its own: a Ctrl-C is for us, and it ends when we end it.
  const child = spawn(program.command, program.args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  })
  const stop = () => child.kill('SIGKILL')
  signal?.addEventListener('abort', stop, { once: true })
  const ended = Promise.withResolvers<number | null>()
  child.once('error', ended.reject)
  child.once('close', ended.resolve)
  ended.promise.catch(() => undefined)
  let complaint = ''
  child.stderr.on('data', (chunk) => {
    complaint = (complaint + String(chunk)).slice(-MAX_COMPLAINT)
  })
  // A program that ends early breaks its stdin; its exit code says why.
  child.stdin.on('error', () => undefined)
  const feeding = feed(child.stdin, bytes, ended.promise)
  feeding.catch(() => child.kill('SIGKILL'))
  try {
    yield* child.stdout as AsyncIterable<Uint8Array>
    const code = await ended.promise.catch((cause) => {
      throw new CrossdockError('refused', program.missing, { cause, reason: 'program-missing' })
    })
    signal?.throwIfAborted()
    await feeding
    if (code !== 0) {
      throw new CrossdockError(
        'badManifest',
        `${program.command} failed: ${complaint.trim() || `exit code ${code}`}; the file may be damaged, copy it again`,
        { reason: 'program-failed' },
      )
    }
  } finally {
    signal?.removeEventListener('abort', stop)
    child.kill('SIGKILL')
    await feeding.catch(() => undefined)
  }
}

async function feed(
  stdin: NodeJS.WritableStream & { readonly destroyed?: boolean },
  bytes: ByteStream,
  ended: Promise<unknown>,
): Promise<void> {
  const over = ended.then(
    () => 'over' as const,
    () => 'over' as const,
  )
  for await (const chunk of bytes) {
    if (stdin.destroyed) return
    if (stdin.write(chunk)) continue
    const drained = once(stdin, 'drain').catch(() => undefined)
    if ((await Promise.race([drained, over])) === 'over') return
  }
  stdin.end()
}
