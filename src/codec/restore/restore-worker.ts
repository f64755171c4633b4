/** Worker thread: analyses and rebuilds gzip streams, one job at a time, so that the event loop goes on serving. */
import { type MessagePort, parentPort } from 'node:worker_threads'
import { analyse } from './analyse.ts'
import { rebuild } from './rebuild.ts'
import { type Job, MADE_AHEAD, type Order, plainFailure, type Report } from './thread-messages.ts'

if (parentPort !== null) listen(parentPort)

function listen(port: MessagePort): void {
  let onPiece: (bytes: Uint8Array | undefined) => void = () => undefined
  let onMore: () => void = () => undefined
  let room = MADE_AHEAD
  const tell = (report: Report) => port.postMessage(report)

  async function* read(): AsyncGenerator<Uint8Array> {
    tell({ kind: 'open' })
    try {
      for (;;) {
        const piece = new Promise<Uint8Array | undefined>((resolve) => {
          onPiece = resolve
        })
        tell({ kind: 'pull' })
        const bytes = await piece
        if (bytes === undefined) return
        yield bytes
      }
    } finally {
      tell({ kind: 'close' })
    }
  }

  async function make(corrections: Uint8Array): Promise<void> {
    room = MADE_AHEAD
    for await (const made of rebuild(read(), corrections)) {
      while (room === 0) {
        await new Promise<void>((resolve) => {
          onMore = resolve
        })
      }
      room -= 1
      const bytes = new Uint8Array(made)
      port.postMessage({ kind: 'made', bytes } satisfies Report, [bytes.buffer])
    }
  }

  async function work(job: Job): Promise<void> {
    try {
      const analysis = job.kind === 'analyse' ? await analyse(read, job) : undefined
      if (job.kind === 'rebuild') await make(job.corrections)
      tell({ kind: 'done', analysis })
    } catch (error) {
      tell({ kind: 'failed', failure: plainFailure(error) })
    }
  }

  port.on('message', (order: Order) => {
    if (order.kind === 'piece') onPiece(order.bytes)
    else if (order.kind === 'more') {
      room += 1
      onMore()
    } else void work(order)
  })
}
